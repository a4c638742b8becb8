"""Failures of several parts of TokenVault that a caller can act on; those of one folder are in its own `errors`."""

from datetime import timedelta

from services.meshkit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)


class ProviderUnknown(InvalidArgument):
    """This installation has no settings for that provider."""

    reason = "PROVIDER_UNKNOWN"


class AbilityUnknown(InvalidArgument):
    """There is no such ability in this version."""

    reason = "ABILITY_UNKNOWN"


class TenantNotFound(NotFound):
    """There is no such tenant."""

    reason = "TENANT_NOT_FOUND"
    resource_type = "tenant"

    @classmethod
    def of(cls, tenant_id: str) -> "TenantNotFound":
        """Make the error for a tenant that does not exist, or that the caller may not see."""
        return cls(resource=tenant_id, metadata={"tenant_id": tenant_id})


class AppCredentialMissing(FailedPrecondition):
    """The installation has no credential of the app at the provider: an administrator of mailmesh adds one."""

    reason = "APP_CREDENTIAL_MISSING"


class TenantDisconnected(FailedPrecondition):
    """The tenant is disconnected or being disconnected: connect the account again."""

    reason = "TENANT_DISCONNECTED"


class MailboxUnavailable(FailedPrecondition):
    """The account has no mailbox that the provider's API reaches."""

    reason = "MAILBOX_UNAVAILABLE"


class ScopeNotGranted(FailedPrecondition):
    """A required scope was not granted."""

    reason = "SCOPE_NOT_GRANTED"


class AbilityNotGranted(FailedPrecondition):
    """The tenant has not granted the ability: connect its account again with it."""

    reason = "ABILITY_NOT_GRANTED"


class InstallationMisconfigured(FailedPrecondition):
    """The provider refuses this installation's own credentials, or a setting is missing."""

    reason = "INSTALLATION_MISCONFIGURED"


class FlowFailed(FailedPrecondition):
    """The account was not connected."""


class RefreshTokenMissing(FlowFailed):
    """The provider gave no refresh token."""

    reason = "REFRESH_TOKEN_MISSING"


class IdentityUnproven(FlowFailed):
    """The identity of the account could not be verified."""

    reason = "IDENTITY_UNPROVEN"


class ScopeTooWide(PermissionDenied):
    """The request exceeds the rights of the key that asks."""

    reason = "SCOPE_TOO_WIDE"


class ProviderThrottled(ResourceExhausted):
    """The provider throttles requests: retry later."""

    reason = "PROVIDER_THROTTLED"
    default_retry_after = timedelta(seconds=5)


class ProviderUnavailable(Unavailable):
    """The provider did not answer, or answered with a transient failure."""

    reason = "PROVIDER_UNAVAILABLE"
    default_retry_after = timedelta(seconds=2)
