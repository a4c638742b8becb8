"""The failure that a caller gets for a failed request to a provider."""

from collections.abc import Mapping

from services.meshkit.errors import (
    DataLoss,
    FailedPrecondition,
    MeshError,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from services.processor.errors import AbilityNotGranted, TenantNotFound
from services.processor.mailbox.failures import SourceError
from services.processor.messages.errors import MessageNotFound
from services.providers.abilities import MAIL_READ, connect_command

_KINDS: Mapping[str, type[MeshError]] = {
    "PROVIDER_THROTTLED": ResourceExhausted,
    "PROVIDER_UNAVAILABLE": Unavailable,
    "SERVICE_UNAVAILABLE": Unavailable,
    "KEY_UNAVAILABLE": Unavailable,
    "STORE_UNAVAILABLE": Unavailable,
    "MESSAGE_UNREADABLE": DataLoss,
    "SEAL_BROKEN": DataLoss,
    "MESSAGE_FORBIDDEN": PermissionDenied,
}
"""The kinds of failures by reason, as the catalogue has their gRPC codes; any other is a failed precondition."""


def reported(error: SourceError, provider: str, tenant_id: str, message_id: str, ability: str = MAIL_READ) -> MeshError:
    """Return the caller's failure, with the reason of the catalogue and its gRPC code.

    Args:
        error: The failed request, or the token that TokenVault did not lend.
        provider: "ms365" or "googlews".
        tenant_id: The tenant whose mailbox was read.
        message_id: The mail that was asked for.
        ability: The ability that the request needed.
    """
    if error.reason == "MESSAGE_NOT_FOUND":
        return MessageNotFound(resource=message_id, metadata={"message_id": message_id})
    if error.reason == "TENANT_NOT_FOUND":
        return TenantNotFound.of(tenant_id)
    metadata = {"tenant_id": tenant_id, "detail": error.detail}
    if error.reason == "ABILITY_NOT_GRANTED":
        command = connect_command(provider, tenant_id, (ability,))
        message = f"The tenant has not granted {ability}. Connect its account again with this ability: {command}"
        return AbilityNotGranted(message, subject=tenant_id, metadata={**metadata, "ability": ability})
    kind = _KINDS.get(error.reason)
    if kind is None:
        return FailedPrecondition(error.detail, subject=tenant_id, reason=error.reason, metadata=metadata)
    return kind(error.detail, reason=error.reason, metadata=metadata, retry_after=error.retry_after)
