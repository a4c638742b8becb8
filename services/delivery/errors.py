"""Delivery's failures that a caller can act on."""

from services.meshkit.errors import DataLoss, NotFound, ResourceExhausted, Unavailable


class EndpointNotFound(NotFound):
    """There is no such endpoint."""

    reason = "ENDPOINT_NOT_FOUND"
    resource_type = "endpoint"


class TenantNotFound(NotFound):
    """There is no such tenant."""

    reason = "TENANT_NOT_FOUND"
    resource_type = "tenant"

    @classmethod
    def of(cls, tenant_id: str) -> "TenantNotFound":
        """Make the error for a tenant that does not exist, or that the caller may not see."""
        return cls(resource=tenant_id, metadata={"tenant_id": tenant_id})


class AttemptNotFound(NotFound):
    """There is no such attempt."""

    reason = "ATTEMPT_NOT_FOUND"
    resource_type = "attempt"


class EndpointLimitReached(ResourceExhausted):
    """The mesh has as many endpoints as its settings permit. Delete some that are not used."""

    reason = "ENDPOINT_LIMIT_REACHED"


class SealBroken(DataLoss):
    """A stored secret of the endpoint does not open: it was altered, or belongs to another endpoint."""

    reason = "SEAL_BROKEN"


class KeyUnavailable(Unavailable):
    """The key that sealed the endpoint's secrets is not loaded."""

    reason = "KEY_UNAVAILABLE"
