"""Parses JSON from untrusted senders."""

import json
from typing import Any, Final

import orjson

from services.meshkit.errors import FieldInvalid

MAX_VALUES: Final = 200_000
"""The most objects, lists and members of a body. 5,000 notifications of Graph have half as many."""


class UnreadableError(Exception):
    """A provider's message cannot be parsed.

    Args:
        cause: A word for the metric; never a part of the body.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    The fast parser refuses valid JSON that is not valid Unicode: a lone surrogate in one field would lose all other
    notifications of the POST. The tolerant parser therefore tries again.

    Four MiB of empty lists take half a second to parse, and a packed POST of 4 KB can hold them. Counting takes 10 ms.

    Args:
        body: Untrusted bytes.

    Returns:
        The object.

    Raises:
        UnreadableError: The body is not JSON, is nested too deeply, or is not an object.
        FieldInvalid: The body has more than 200,000 values.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise FieldInvalid.of("payload", f"has more than {MAX_VALUES} values")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _parse_tolerantly(body)
    if not isinstance(document, dict):
        raise UnreadableError("not_an_object")
    return document


def _parse_tolerantly(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise UnreadableError("not_json") from exc
