"""Which tenants are lent tokens, and what the others are told."""

from services.meshkit.errors import MeshError
from services.token_vault.errors import (
    SealBroken,
    TenantDisabled,
    TenantDisconnected,
    TenantInError,
    TenantNeedsReauthorization,
)
from services.token_vault.store.tenants import (
    ACTIVE,
    DISABLED,
    DISCONNECTED,
    DISCONNECTING,
    ERROR,
    NEEDS_REAUTHORIZATION,
    TenantRow,
)

SEAL_BROKEN = "seal_broken"


def require_eligible(tenant: TenantRow, allowed: frozenset[str] = frozenset({ACTIVE})) -> None:
    """Lets a tenant through whose status is one of those.

    Args:
        tenant: As it is now.
        allowed: Statuses as they are stored.

    Raises:
        TenantNeedsReauthorization, TenantDisabled, TenantDisconnected, TenantInError, SealBroken: By its status.
    """
    if tenant.status not in allowed:
        raise refusal(tenant)


def refusal(tenant: TenantRow) -> MeshError:
    """Makes the failure that a tenant's status stands for."""
    subject, metadata = tenant.tenant_id, {"tenant_id": tenant.tenant_id}
    match tenant.status:
        case "needs_reauthorization":
            return TenantNeedsReauthorization(subject=subject, metadata={**metadata, "detail": tenant.status_reason})
        case "disabled":
            return TenantDisabled(subject=subject, metadata=metadata)
        case "disconnecting" | "disconnected":
            return TenantDisconnected(subject=subject, metadata=metadata)
        case _ if tenant.status_reason == SEAL_BROKEN:
            return SealBroken(metadata=metadata)
        case _:
            return TenantInError(subject=subject, metadata={**metadata, "detail": tenant.status_reason})


STATUSES = frozenset({ACTIVE, NEEDS_REAUTHORIZATION, ERROR, DISABLED, DISCONNECTING, DISCONNECTED})
"""All statuses as they are stored."""
