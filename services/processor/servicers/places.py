"""The mailbox or the tenants that a request names, and places in lists that the provider gives as a whole."""

from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.processor.messages.reading.reads import Place
from services.processor.stream.filter import scope_of

_PLACES_MAX = 100_000


def mailbox_of(tenant_id: str) -> Place:
    """Return the mailbox of a tenant, with whether the caller may see it.

    Raises:
        FieldInvalid: The id is malformed.
    """
    checked = check_id("tenant_id", tenant_id)
    caller = current_caller()
    return Place(checked, is_in_scope=caller.may_see(checked), key_id=caller.key_id)


def scope_within(tenant_id: str) -> list[str] | None:
    """Return the tenants to list: those of the key, or the one that a request names, if the key may see it.

    Args:
        tenant_id: The tenant that the request names; empty for none.

    Raises:
        FieldInvalid: The id is malformed.
    """
    scope = scope_of(current_caller())
    if not tenant_id:
        return scope
    asked = check_id("tenant_id", tenant_id)
    return [asked] if scope is None or asked in scope else []


def is_place(value: str | int) -> bool:
    """Return whether a value of a page token is a place in a list."""
    return isinstance(value, int) and 0 <= value <= _PLACES_MAX
