"""Failures of connecting and keeping accounts that a caller can act on."""

from services.meshkit.errors import FailedPrecondition, InvalidArgument, NotFound
from services.token_vault.errors import FlowFailed


class CursorInvalid(InvalidArgument):
    """The cursor was altered, or TokenVault did not issue it."""

    reason = "CURSOR_INVALID"


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


class AppCredentialLimitReached(FailedPrecondition):
    """The provider has as many credentials of the app as one may have: delete an old one first."""

    reason = "APP_CREDENTIAL_LIMIT_REACHED"


class DelegationNotGranted(FailedPrecondition):
    """The organisation's administrator has not granted the service account these scopes."""

    reason = "DELEGATION_NOT_GRANTED"


class SharedMailboxNotOffered(FailedPrecondition):
    """The tenant's provider or tokens open no shared mailbox by the grant of a person."""

    reason = "SHARED_MAILBOX_NOT_OFFERED"


class PersonErasureNotFound(NotFound):
    """The tenant has no such erasure of a person."""

    reason = "PERSON_ERASURE_NOT_FOUND"
    resource_type = "person_erasure"


class MailboxMismatch(FailedPrecondition):
    """The account that answered is not the account on record."""

    reason = "MAILBOX_MISMATCH"


class PublicUrlUnset(FailedPrecondition):
    """The installation has no public address for browsers."""

    reason = "PUBLIC_URL_UNSET"


class FlowStateInvalid(FlowFailed):
    """The attempt to connect is unknown, used or expired, or belongs to another browser."""

    reason = "FLOW_STATE_INVALID"


class ConsentDenied(FlowFailed):
    """The user declined at the provider."""

    reason = "CONSENT_DENIED"


class AdminConsentNeeded(FlowFailed):
    """In this organisation, only an administrator can consent."""

    reason = "ADMIN_CONSENT_NEEDED"


class AccountMismatch(FlowFailed):
    """The reconnect used another account than the tenant's."""

    reason = "ACCOUNT_MISMATCH"


class AbilitiesWouldBeLost(FlowFailed):
    """The account is a tenant already, and the new grant lacks abilities that the tenant has: connect it by its id."""

    reason = "ABILITIES_WOULD_BE_LOST"


class MailboxConnectedOtherwise(FlowFailed):
    """The mailbox is a tenant with the other type of tokens: disconnect the tenant first."""

    reason = "MAILBOX_CONNECTED_OTHERWISE"
