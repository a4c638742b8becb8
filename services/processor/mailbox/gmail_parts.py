"""The parts of a mail as Gmail's API gives them, found by what stays: the id of the part."""

from collections.abc import Iterator
from typing import Any

from services.processor.mailbox.provider_http import JSON

_PARTS_MAX = 2000
_ROOT = "root"


def part_of(mail: JSON, part_id: str) -> JSON | None:
    """Return the part of a mail with an id; None when it has none.

    Args:
        mail: The mail in `format=full`, untrusted.
        part_id: The part's id, such as "1.2"; "root" for the mail's own body, whose id is empty.
    """
    wanted = "" if part_id == _ROOT else part_id
    return next((part for part in _parts(mail.get("payload")) if (part.get("partId") or "") == wanted), None)


def _parts(root: Any) -> Iterator[JSON]:
    """Yield the parts of a mail, at most 2,000, without recursion: a stranger chose their depth."""
    waiting, seen = [root], 0
    while waiting and seen < _PARTS_MAX:
        part = waiting.pop()
        seen += 1
        if isinstance(part, dict):
            yield part
            inner = part.get("parts")
            waiting.extend(inner[:_PARTS_MAX] if isinstance(inner, list) else ())
