"""The mailbox that a request names, and places in lists that the provider gives as a whole."""

from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.processor.messages.reading.reads import Place

_PLACES_MAX = 100_000


def mailbox_of(tenant_id: str) -> Place:
    """Return the mailbox of a tenant, with whether the caller may see it.

    Raises:
        FieldInvalid: The id is malformed.
    """
    checked = check_id("tenant_id", tenant_id)
    caller = current_caller()
    return Place(checked, is_in_scope=caller.may_see(checked), key_id=caller.key_id)


def is_place(value: str | int) -> bool:
    """Return whether a value of a page token is a place in a list."""
    return isinstance(value, int) and 0 <= value <= _PLACES_MAX
