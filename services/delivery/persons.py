"""Delivery's tables that may name a person.

The bodies that are stored have ids alone, and the receiver of a whole event that is erased gets its ids. Receivers
answer with any text.
"""

from services.meshkit.erasing_steps import Bound, rewriting
from services.meshkit.persons import answer, json_bytes

PERSONS = (
    rewriting("deliveries", {"endpoint_id": "uuid", "event_id": "uuid"}, {"body": json_bytes}, bound=Bound.START),
    rewriting("attempts", {"attempt_id": "uuid"}, {"answer": answer}, bound=Bound.START),
)
"""The steps; their last rows are noted when they begin, since receivers answer later than their events come."""

_WORD, _OPERATOR = "a word of our own", "the receiver that an operator configured, of no tenant"
FREE = {
    "endpoints": {
        **dict.fromkeys(("display_name", "url", "header_names", "sealed_headers", "sealed_keys"), _OPERATOR),
        "conditions": "what the operator wants to receive, of no tenant",
        **dict.fromkeys(("public_key", "sealed_by", "sealed_access", "token_url"), _OPERATOR),
        "providers": _WORD,
        "event_types": _WORD,
        "created_by": "the id of an API key",
        "reason": _WORD,
        "position": "a position of the stream",
    },
    "deliveries": {"event_type": _WORD, "order_key": "ids"},
    "attempts": {"event_type": _WORD, "reason": _WORD},
    "notices": {"content": "an event about an endpoint: ids, and words of our own"},
    "erased_tenants": {"removed": "counts"},
    "erased_persons": {
        "removed": "counts",
        **dict.fromkeys(("bounds", "reached"), "emptied at the end of the erasure"),
    },
}
"""The other columns of text or bytes, with the reason why they name no person; a test knows every column."""
