"""The rules for an endpoint's own headers: they cannot replace a header of the protocol or of the signature."""

import re
from collections.abc import Mapping
from typing import Final

from services.meshkit.secret import Secret

MOST_HEADERS: Final = 20
MOST_NAME_CHARACTERS: Final = 100
MOST_VALUE_CHARACTERS: Final = 4000

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[!-~]+(?:[ \t]+[!-~]+)*", re.ASCII)
_RESERVED = frozenset(
    (
        *("accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "date"),
        *("expect", "forwarded", "host", "http2-settings", "keep-alive", "origin", "te", "trailer"),
        *("transfer-encoding", "upgrade", "user-agent", "via"),
    )
)
_RESERVED_PREFIXES = ("webhook-", "svix-", "proxy-", "x-forwarded-")


def headers_fault(headers: Mapping[str, Secret]) -> str:
    """Return the rule that an endpoint's own headers break, as a sentence; empty when they break none.

    Args:
        headers: Values by name, as the endpoint's owner wrote them. No value appears in the sentence.
    """
    if len(headers) > MOST_HEADERS:
        return f"an endpoint has at most {MOST_HEADERS} headers of its own"
    if len({name.lower() for name in headers}) < len(headers):
        return "each header has another name; upper and lower case count as the same"
    return next((fault for name, value in headers.items() if (fault := _fault(name, value.reveal()))), "")


def _fault(name: str, value: str) -> str:
    if len(name) > MOST_NAME_CHARACTERS or not _NAME.fullmatch(name):
        return f"the name of a header has at most {MOST_NAME_CHARACTERS} characters: letters, digits and some signs"
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
        return f"mailmesh sets the header {name.lower()} itself, or never sends it"
    if len(value) > MOST_VALUE_CHARACTERS or not _VALUE.fullmatch(value):
        return f"the header {name.lower()} needs a value of at most {MOST_VALUE_CHARACTERS} visible ASCII characters"
    return ""
