"""Failures of TokenVault that a caller can act on.

MeshError
├── InvalidArgument
│   ├── CursorInvalid             CURSOR_INVALID
│   ├── ProviderUnknown           PROVIDER_UNKNOWN
│   ├── RequestIdReused           REQUEST_ID_REUSED
│   ├── MinimumSecondsTooLarge    MINIMUM_SECONDS_TOO_LARGE
│   └── AbilityUnknown            ABILITY_UNKNOWN
├── NotFound
│   ├── TenantNotFound            TENANT_NOT_FOUND
│   ├── ApiKeyNotFound            API_KEY_NOT_FOUND
│   ├── SessionNotFound           SESSION_NOT_FOUND
│   ├── AuthorizationNotFound     AUTHORIZATION_NOT_FOUND
│   ├── DirectoryNotFound         DIRECTORY_NOT_FOUND
│   ├── AgentSignInNotOffered     AGENT_SIGN_IN_NOT_OFFERED
│   ├── AppCredentialNotFound     APP_CREDENTIAL_NOT_FOUND
│   └── PersonErasureNotFound     PERSON_ERASURE_NOT_FOUND
├── FailedPrecondition
│   ├── TenantNeedsReauthorization, TenantDisabled, TenantDisconnected, TenantInError
│   ├── MailboxMismatch, ScopeNotGranted, AbilityNotGranted, MailboxUnavailable
│   ├── MailboxNotAllowed         MAILBOX_NOT_ALLOWED
│   ├── DelegationNotGranted      DELEGATION_NOT_GRANTED
│   ├── SharedMailboxNotOffered   SHARED_MAILBOX_NOT_OFFERED
│   ├── AppCredentialMissing      APP_CREDENTIAL_MISSING
│   ├── AppCredentialLimitReached APP_CREDENTIAL_LIMIT_REACHED
│   ├── SignInNotOffered          SIGN_IN_NOT_OFFERED
│   ├── KeyRetiring, PublicUrlUnset, InstallationMisconfigured, LastAdminKey
│   └── FlowFailed                ends an authorization; the result page has a text for each
│       ├── FlowStateInvalid, ConsentDenied, AdminConsentNeeded
│       ├── RefreshTokenMissing, IdentityUnproven, AccountMismatch, AbilitiesWouldBeLost
│       └── MailboxConnectedOtherwise
├── Unauthenticated
│   ├── KeyRevoked                KEY_REVOKED
│   ├── AccessTokenInvalid        ACCESS_TOKEN_INVALID
│   └── SessionInvalid            SESSION_INVALID
├── PermissionDenied
│   ├── ScopeTooWide              SCOPE_TOO_WIDE
│   ├── OriginNotProven           ORIGIN_NOT_PROVEN
│   ├── SignInNotAllowed          SIGN_IN_NOT_ALLOWED
│   └── KeyRequired               KEY_REQUIRED
├── ResourceExhausted
│   ├── ProviderThrottled         PROVIDER_THROTTLED
│   └── SessionLimitReached       SESSION_LIMIT_REACHED
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
    """The cursor was altered, or TokenVault did not issue it."""

    reason = "CURSOR_INVALID"


class ProviderUnknown(InvalidArgument):
    """This installation has no settings for that provider."""

    reason = "PROVIDER_UNKNOWN"


class RequestIdReused(InvalidArgument):
    """The request id was used within the last day for another request."""

    reason = "REQUEST_ID_REUSED"


class MinimumSecondsTooLarge(InvalidArgument):
    """No token is certain to last that long."""

    reason = "MINIMUM_SECONDS_TOO_LARGE"


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


class ApiKeyNotFound(NotFound):
    """There is no such API key."""

    reason = "API_KEY_NOT_FOUND"
    resource_type = "api_key"


class SessionNotFound(NotFound):
    """There is no such session."""

    reason = "SESSION_NOT_FOUND"
    resource_type = "session"


class AuthorizationNotFound(NotFound):
    """There is no such attempt to connect an account."""

    reason = "AUTHORIZATION_NOT_FOUND"
    resource_type = "authorization"


class DirectoryNotFound(NotFound):
    """No administrator of the organisation has consented."""

    reason = "DIRECTORY_NOT_FOUND"
    resource_type = "directory"


class MailboxNotAllowed(FailedPrecondition):
    """The organisation's allow-list does not contain the mailbox."""

    reason = "MAILBOX_NOT_ALLOWED"


class AppCredentialNotFound(NotFound):
    """There is no such credential of the app."""

    reason = "APP_CREDENTIAL_NOT_FOUND"
    resource_type = "app_credential"


class AppCredentialMissing(FailedPrecondition):
    """The installation has no credential of the app at the provider: an administrator of mailmesh adds one."""

    reason = "APP_CREDENTIAL_MISSING"


class AppCredentialLimitReached(FailedPrecondition):
    """The provider has as many credentials of the app as one may have: delete an old one first."""

    reason = "APP_CREDENTIAL_LIMIT_REACHED"


class DelegationNotGranted(FailedPrecondition):
    """The organisation's administrator has not granted the service account these scopes."""

    reason = "DELEGATION_NOT_GRANTED"


class SharedMailboxNotOffered(FailedPrecondition):
    """The tenant's provider or tokens open no shared mailbox by the grant of a person."""

    reason = "SHARED_MAILBOX_NOT_OFFERED"


class TenantNeedsReauthorization(FailedPrecondition):
    """The provider no longer honours the grant: a person must connect the account again."""

    reason = "TENANT_NEEDS_REAUTHORIZATION"


class TenantDisabled(FailedPrecondition):
    """The tenant is disabled: enable it first."""

    reason = "TENANT_DISABLED"


class PersonErasureNotFound(NotFound):
    """The tenant has no such erasure of a person."""

    reason = "PERSON_ERASURE_NOT_FOUND"
    resource_type = "person_erasure"


class TenantDisconnected(FailedPrecondition):
    """The tenant is disconnected or being disconnected: connect the account again."""

    reason = "TENANT_DISCONNECTED"


class TenantInError(FailedPrecondition):
    """The tenant has an error that a person must fix; its status_detail has the details."""

    reason = "TENANT_IN_ERROR"


class MailboxMismatch(FailedPrecondition):
    """The account that answered is not the account on record."""

    reason = "MAILBOX_MISMATCH"


class MailboxUnavailable(FailedPrecondition):
    """The account has no mailbox that the provider's API reaches."""

    reason = "MAILBOX_UNAVAILABLE"


class ScopeNotGranted(FailedPrecondition):
    """A required scope was not granted."""

    reason = "SCOPE_NOT_GRANTED"


class AbilityNotGranted(FailedPrecondition):
    """The tenant has not granted the ability: connect its account again with it."""

    reason = "ABILITY_NOT_GRANTED"


class KeyRetiring(FailedPrecondition):
    """A key-encryption key cannot be rotated or retired yet."""

    reason = "KEY_RETIRING"


class PublicUrlUnset(FailedPrecondition):
    """The installation has no public address for browsers."""

    reason = "PUBLIC_URL_UNSET"


class InstallationMisconfigured(FailedPrecondition):
    """The provider refuses this installation's own credentials, or a setting is missing."""

    reason = "INSTALLATION_MISCONFIGURED"


class LastAdminKey(FailedPrecondition):
    """This is the last admin key without limits: create another one that lasts as long, then revoke this one."""

    reason = "LAST_ADMIN_KEY"


class FlowFailed(FailedPrecondition):
    """The account was not connected."""


class FlowStateInvalid(FlowFailed):
    """The attempt to connect is unknown, used or expired, or belongs to another browser."""

    reason = "FLOW_STATE_INVALID"


class SignInNotOffered(FailedPrecondition):
    """No identity provider is configured."""

    reason = "SIGN_IN_NOT_OFFERED"


class AgentSignInNotOffered(NotFound):
    """No identity provider is configured: agents use API keys."""

    reason = "AGENT_SIGN_IN_NOT_OFFERED"
    resource_type = "protected_resource"


class AccessTokenInvalid(Unauthenticated):
    """The access token is not valid here."""

    reason = "ACCESS_TOKEN_INVALID"


class SignInNotAllowed(PermissionDenied):
    """The identity provider signed the person in, and no group of the person has rights here."""

    reason = "SIGN_IN_NOT_ALLOWED"


class ConsentDenied(FlowFailed):
    """The user declined at the provider."""

    reason = "CONSENT_DENIED"


class AdminConsentNeeded(FlowFailed):
    """In this organisation, only an administrator can consent."""

    reason = "ADMIN_CONSENT_NEEDED"


class RefreshTokenMissing(FlowFailed):
    """The provider gave no refresh token."""

    reason = "REFRESH_TOKEN_MISSING"


class IdentityUnproven(FlowFailed):
    """The identity of the account could not be verified."""

    reason = "IDENTITY_UNPROVEN"


class AccountMismatch(FlowFailed):
    """The reconnect used another account than the tenant's."""

    reason = "ACCOUNT_MISMATCH"


class AbilitiesWouldBeLost(FlowFailed):
    """The account is a tenant already, and the new grant lacks abilities that the tenant has: connect it by its id."""

    reason = "ABILITIES_WOULD_BE_LOST"


class MailboxConnectedOtherwise(FlowFailed):
    """The mailbox is a tenant with the other type of tokens: disconnect the tenant first."""

    reason = "MAILBOX_CONNECTED_OTHERWISE"


class KeyRevoked(Unauthenticated):
    """The API key was revoked or has expired."""

    reason = "KEY_REVOKED"


class SessionInvalid(Unauthenticated):
    """The session has ended, or there is none: sign in again."""

    reason = "SESSION_INVALID"


class ScopeTooWide(PermissionDenied):
    """The request exceeds the rights of the key that asks."""

    reason = "SCOPE_TOO_WIDE"


class OriginNotProven(PermissionDenied):
    """The request has a session cookie, and does not prove that a page of this installation sent it."""

    reason = "ORIGIN_NOT_PROVEN"


class KeyRequired(PermissionDenied):
    """Only the API key itself may do this, not a session."""

    reason = "KEY_REQUIRED"


class ProviderThrottled(ResourceExhausted):
    """The provider throttles requests: retry later."""

    reason = "PROVIDER_THROTTLED"
    default_retry_after = timedelta(seconds=5)


class SessionLimitReached(ResourceExhausted):
    """The API key has as many sessions as one key may have: sign out elsewhere first."""

    reason = "SESSION_LIMIT_REACHED"
    default_retry_after = timedelta(seconds=60)


class ProviderUnavailable(Unavailable):
    """The provider did not answer, or answered with a transient failure."""

    reason = "PROVIDER_UNAVAILABLE"
    default_retry_after = timedelta(seconds=2)


class KeyUnavailable(Unavailable):
    """The required key-encryption key is not loaded in this process."""

    reason = "KEY_UNAVAILABLE"
    default_retry_after = timedelta(seconds=30)


class SealBroken(DataLoss):
    """A sealed credential does not open."""

    reason = "SEAL_BROKEN"


class RouteNotFound(NotFound):
    """The edge has no route of this name."""

    reason = "ROUTE_NOT_FOUND"
    resource_type = "route"
