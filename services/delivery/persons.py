"""Delivery's tables that may name a person.

The bodies that are stored have ids alone, and the receiver of a whole event that is erased gets its ids. Receivers
answer with any text.
"""

from services.meshkit.erasing_persons import rewriting
from services.meshkit.persons import answer, json_bytes

PERSONS = (
    rewriting("deliveries", ("endpoint_id", "event_id"), {"body": json_bytes}),
    rewriting("attempts", ("attempt_id",), {"answer": answer}),
)
"""The tables."""

_WORD, _OPERATOR = "a word of our own", "the receiver that an operator configured, of no tenant"
FREE = {
    "endpoints": {
        **dict.fromkeys(("display_name", "url", "header_names", "sealed_headers", "sealed_keys"), _OPERATOR),
        **dict.fromkeys(("public_key", "sealed_by"), _OPERATOR),
        "providers": _WORD,
        "event_types": _WORD,
        "created_by": "the id of an API key",
        "reason": _WORD,
        "position": "a position of the stream",
    },
    "deliveries": {"event_type": _WORD, "order_key": "ids"},
    "attempts": {"event_type": _WORD, "reason": _WORD},
    "erased_tenants": {"removed": "counts"},
    "erased_persons": {"removed": "counts"},
}
"""The other columns of text or bytes, with the reason why they name no person; a test knows every column."""
