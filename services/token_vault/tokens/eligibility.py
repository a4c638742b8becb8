"""The eligibility of tenants for tokens, by their status, and the failures of the others."""

from services.meshkit.errors import MeshError
from services.token_vault.errors import TenantDisconnected
from services.token_vault.keys.errors import SealBroken
from services.token_vault.store.tenants import (
    ACTIVE,
    DISABLED,
    DISCONNECTED,
    DISCONNECTING,
    ERROR,
    NEEDS_REAUTHORIZATION,
    TenantRow,
)
from services.token_vault.tokens.errors import TenantDisabled, TenantInError, TenantNeedsReauthorization

SEAL_BROKEN = "seal_broken"


def require_eligible(tenant: TenantRow, allowed: frozenset[str] = frozenset({ACTIVE})) -> None:
    """Check that a tenant has one of the allowed statuses.

    Args:
        tenant: In its current state.
        allowed: Stored statuses.

    Raises:
        TenantNeedsReauthorization, TenantDisabled, TenantDisconnected, TenantInError, SealBroken: By its status.
    """
    if tenant.status not in allowed:
        raise refusal(tenant)


def refusal(tenant: TenantRow) -> MeshError:
    """Make the failure that a tenant's status stands for."""
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
"""All stored statuses."""
