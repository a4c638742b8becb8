"""The failures of TokenVault that a caller can act on.

MeshError
├── InvalidArgument
│   ├── CursorInvalid             CURSOR_INVALID
│   ├── ProviderUnknown           PROVIDER_UNKNOWN
│   ├── RequestIdReused           REQUEST_ID_REUSED
│   └── MinimumSecondsTooLarge    MINIMUM_SECONDS_TOO_LARGE
├── NotFound
│   ├── TenantNotFound            TENANT_NOT_FOUND
│   ├── ApiKeyNotFound            API_KEY_NOT_FOUND
│   └── AuthorizationNotFound     AUTHORIZATION_NOT_FOUND
├── FailedPrecondition
│   ├── TenantNeedsReauthorization, TenantDisabled, TenantDisconnected, TenantInError
│   ├── MailboxMismatch, ScopeNotGranted, MailboxUnavailable
│   ├── KeyRetiring, PublicUrlUnset, InstallationMisconfigured
│   └── FlowFailed                what ends an authorization; the result page says each in words
│       ├── FlowStateInvalid, ConsentDenied, AdminConsentNeeded
│       └── RefreshTokenMissing, IdentityUnproven, AccountMismatch
├── Unauthenticated
│   └── KeyRevoked                KEY_REVOKED
├── PermissionDenied
│   └── ScopeTooWide              SCOPE_TOO_WIDE
├── ResourceExhausted
│   └── ProviderThrottled         PROVIDER_THROTTLED
├── Unavailable
│   ├── ProviderUnavailable       PROVIDER_UNAVAILABLE
│   └── KeyUnavailable            KEY_UNAVAILABLE
└── DataLoss
    └── SealBroken                SEAL_BROKEN
"""

from datetime import timedelta

from services.meshkit.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)


class CursorInvalid(InvalidArgument):
    """The cursor was altered or is not one of ours."""

    reason = "CURSOR_INVALID"


class ProviderUnknown(InvalidArgument):
    """This installation has no settings for that provider."""

    reason = "PROVIDER_UNKNOWN"


class RequestIdReused(InvalidArgument):
    """The request id was used within the last day for another request."""

    reason = "REQUEST_ID_REUSED"


class MinimumSecondsTooLarge(InvalidArgument):
    """No token is sure to last that long."""

    reason = "MINIMUM_SECONDS_TOO_LARGE"


class TenantNotFound(NotFound):
    """There is no such tenant."""

    reason = "TENANT_NOT_FOUND"
    resource_type = "tenant"

    @classmethod
    def of(cls, tenant_id: str) -> "TenantNotFound":
        """Makes the error for a tenant that is not there, or not for this caller."""
        return cls(resource=tenant_id, metadata={"tenant_id": tenant_id})


class ApiKeyNotFound(NotFound):
    """There is no such API key."""

    reason = "API_KEY_NOT_FOUND"
    resource_type = "api_key"


class AuthorizationNotFound(NotFound):
    """There is no such attempt to connect an account."""

    reason = "AUTHORIZATION_NOT_FOUND"
    resource_type = "authorization"


class TenantNeedsReauthorization(FailedPrecondition):
    """The provider no longer honours the grant: a person has to connect the account again."""

    reason = "TENANT_NEEDS_REAUTHORIZATION"


class TenantDisabled(FailedPrecondition):
    """The tenant is switched off: enable it first."""

    reason = "TENANT_DISABLED"


class TenantDisconnected(FailedPrecondition):
    """The tenant's credentials are gone or going: connect the account again."""

    reason = "TENANT_DISCONNECTED"


class TenantInError(FailedPrecondition):
    """Something about the tenant has to be mended; its status_detail says what."""

    reason = "TENANT_IN_ERROR"


class MailboxMismatch(FailedPrecondition):
    """The account that answered is not the account on record."""

    reason = "MAILBOX_MISMATCH"


class MailboxUnavailable(FailedPrecondition):
    """The account has no mailbox that the provider's API reaches."""

    reason = "MAILBOX_UNAVAILABLE"


class ScopeNotGranted(FailedPrecondition):
    """A scope that is needed was not granted."""

    reason = "SCOPE_NOT_GRANTED"


class KeyRetiring(FailedPrecondition):
    """A key-encryption key cannot be rotated or retired yet."""

    reason = "KEY_RETIRING"


class PublicUrlUnset(FailedPrecondition):
    """The installation has no public address that a browser could be sent to."""

    reason = "PUBLIC_URL_UNSET"


class InstallationMisconfigured(FailedPrecondition):
    """The provider refuses this installation's own credentials, or a setting is missing."""

    reason = "INSTALLATION_MISCONFIGURED"


class FlowFailed(FailedPrecondition):
    """The account was not connected."""


class FlowStateInvalid(FlowFailed):
    """The attempt to connect is unknown, was used, has expired or belongs to another browser."""

    reason = "FLOW_STATE_INVALID"


class ConsentDenied(FlowFailed):
    """The user said no at the provider."""

    reason = "CONSENT_DENIED"


class AdminConsentNeeded(FlowFailed):
    """The organisation lets only an administrator consent."""

    reason = "ADMIN_CONSENT_NEEDED"


class RefreshTokenMissing(FlowFailed):
    """The provider gave no refresh token."""

    reason = "REFRESH_TOKEN_MISSING"


class IdentityUnproven(FlowFailed):
    """It could not be proven whose account this is."""

    reason = "IDENTITY_UNPROVEN"


class AccountMismatch(FlowFailed):
    """The reconnect was finished with another account than the tenant's."""

    reason = "ACCOUNT_MISMATCH"


class KeyRevoked(Unauthenticated):
    """The API key was revoked or has expired."""

    reason = "KEY_REVOKED"


class ScopeTooWide(PermissionDenied):
    """The key that asks has less than what was asked for."""

    reason = "SCOPE_TOO_WIDE"


class ProviderThrottled(ResourceExhausted):
    """The provider asks to come again later."""

    reason = "PROVIDER_THROTTLED"
    default_retry_after = timedelta(seconds=5)


class ProviderUnavailable(Unavailable):
    """The provider did not answer, or answered with a passing fault."""

    reason = "PROVIDER_UNAVAILABLE"
    default_retry_after = timedelta(seconds=2)


class KeyUnavailable(Unavailable):
    """The key-encryption key that is needed is not loaded in this process."""

    reason = "KEY_UNAVAILABLE"
    default_retry_after = timedelta(seconds=30)


class SealBroken(DataLoss):
    """A sealed credential does not open."""

    reason = "SEAL_BROKEN"


class RouteNotFound(NotFound):
    """The edge has nothing under this name."""

    reason = "ROUTE_NOT_FOUND"
    resource_type = "route"
