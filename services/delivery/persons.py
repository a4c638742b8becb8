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

FREE = {
    "endpoints": {"*": "the receiver that an operator configured, of no tenant"},
    "deliveries": {"event_type": "a word of our own", "order_key": "ids"},
    "attempts": {"event_type": "a word of our own", "reason": "a word of our own"},
    "tenants": {"*": "ids and words of our own"},
    "cursors": {"*": "positions"},
    "erased_tenants": {"removed": "counts"},
    "erased_persons": {"removed": "counts"},
}
"""The other columns of text or bytes, with the reason why they name no person; a test knows every column."""
