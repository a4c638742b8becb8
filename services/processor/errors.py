"""Failures of several wings that a caller can act on; those of one wing are in the wing's own `errors`."""

from services.meshkit.errors import FailedPrecondition, InvalidArgument, NotFound


class TenantNotFound(NotFound):
    """There is no such tenant."""

    reason = "TENANT_NOT_FOUND"
    resource_type = "tenant"

    @classmethod
    def of(cls, tenant_id: str) -> "TenantNotFound":
        """Make the error for a tenant that does not exist, or that the caller may not see."""
        return cls(resource=tenant_id, metadata={"tenant_id": tenant_id})


class AbilityNotGranted(FailedPrecondition):
    """The tenant has not granted the ability that the request needs. Connect the account again with it."""

    reason = "ABILITY_NOT_GRANTED"


class IdempotencyKeyReused(InvalidArgument):
    """The tenant has used this key for other content."""

    reason = "IDEMPOTENCY_KEY_REUSED"


class PersonErased(FailedPrecondition):
    """The request was erased with a person's address, and is not submitted again."""

    reason = "PERSON_ERASED"


class SealingExcludesSearch(FailedPrecondition):
    """Stored mail of a tenant is sealed, or indexed for search, not both. Disable one, and repeat the call."""

    reason = "SEALING_EXCLUDES_SEARCH"


class PrimitivesNotAvailable(FailedPrecondition):
    """Processor has no address of Primitives, which classifies mail and reads contents. The operator sets it."""

    reason = "PRIMITIVES_NOT_AVAILABLE"
