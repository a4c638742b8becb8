"""Errors of Ingest that a caller can act on.

MeshError
├── NotFound
│   ├── TenantNotFound         TENANT_NOT_FOUND
│   ├── SubscriptionNotFound   SUBSCRIPTION_NOT_FOUND
│   └── DeadLetterNotFound     DEAD_LETTER_NOT_FOUND
├── FailedPrecondition
│   ├── TenantDisconnected     TENANT_DISCONNECTED
│   ├── MailboxHeld            MAILBOX_HELD
│   ├── SubscriptionRefused    SUBSCRIPTION_REFUSED
│   │   └── PermissionMissing
│   ├── MailboxUnavailable     MAILBOX_UNAVAILABLE
│   ├── TokenRejected          TENANT_NEEDS_REAUTHORIZATION
│   ├── PublicUrlUnset         PUBLIC_URL_UNSET
│   ├── ResourceDataNotAccepted  RESOURCE_DATA_NOT_ACCEPTED
│   ├── SubscriptionDiffers    SUBSCRIPTION_DIFFERS
│   └── InstallationMisconfigured  INSTALLATION_MISCONFIGURED
├── ResourceExhausted
│   └── ProviderThrottled      PROVIDER_THROTTLED
├── Unavailable
│   ├── ProviderUnavailable    PROVIDER_UNAVAILABLE
│   ├── KeyUnavailable         KEY_UNAVAILABLE
│   └── EdgeUnavailable        SERVICE_UNAVAILABLE
├── DataLoss
│   └── SealBroken             SEAL_BROKEN
└── Unauthenticated
    └── PushTokenInvalid       PUSH_TOKEN_INVALID
"""

from services.meshkit.errors import (
    DataLoss,
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    ServiceUnavailable,
    Unauthenticated,
    Unavailable,
)


class TenantNotFound(NotFound):
    """There is no such tenant."""

    reason = "TENANT_NOT_FOUND"
    resource_type = "tenant"

    @classmethod
    def of(cls, tenant_id: str) -> "TenantNotFound":
        """Return the error for a tenant."""
        return cls(resource=tenant_id, metadata={"tenant_id": tenant_id})


class SubscriptionNotFound(NotFound):
    """There is no such subscription."""

    reason = "SUBSCRIPTION_NOT_FOUND"
    resource_type = "subscription"

    @classmethod
    def of(cls, subscription_id: str) -> "SubscriptionNotFound":
        """Return the error for a subscription."""
        return cls(resource=subscription_id, metadata={"subscription_id": subscription_id})


class DeadLetterNotFound(NotFound):
    """There is no such dead letter."""

    reason = "DEAD_LETTER_NOT_FOUND"
    resource_type = "dead_letter"

    @classmethod
    def of(cls, dead_letter_id: str) -> "DeadLetterNotFound":
        """Return the error for a dead letter."""
        return cls(resource=dead_letter_id, metadata={"dead_letter_id": dead_letter_id})


class TenantDisconnected(FailedPrecondition):
    """The tenant is disconnected or being disconnected: connect the account again."""

    reason = "TENANT_DISCONNECTED"

    @classmethod
    def of(cls, tenant_id: str) -> "TenantDisconnected":
        """Return the error for a tenant."""
        return cls(subject=tenant_id, metadata={"tenant_id": tenant_id})


class MailboxHeld(FailedPrecondition):
    """The fence is stale: the lease has ended or another worker holds the mailbox. Drop the work."""

    reason = "MAILBOX_HELD"

    @classmethod
    def of(cls, tenant_id: str, fence: int, current_fence: int) -> "MailboxHeld":
        """Return the error for a lease that is over."""
        numbers = {"fence": str(fence), "current_fence": str(current_fence)}
        return cls(subject=tenant_id, metadata={"tenant_id": tenant_id, **numbers})


class PushTokenInvalid(Unauthenticated):
    """The push has no token that verifies."""

    reason = "PUSH_TOKEN_INVALID"


class SubscriptionRefused(FailedPrecondition):
    """The provider refuses the subscription for a reason that repeating does not change."""

    reason = "SUBSCRIPTION_REFUSED"


class CalendarNotPushed(FailedPrecondition):
    """The provider does not push the changes of this calendar, and repeating does not change that: it is polled."""

    reason = "CALENDAR_NOT_PUSHED"


class SubscriptionOfCalendar(FailedPrecondition):
    """The subscription belongs to a followed calendar, or to the list of calendars: unfollow the calendar."""

    reason = "SUBSCRIPTION_OF_CALENDAR"

    @classmethod
    def of(cls, subscription_id: str) -> "SubscriptionOfCalendar":
        """Return the error for a subscription."""
        return cls(subject=subscription_id, metadata={"subscription_id": subscription_id})


class PermissionMissing(SubscriptionRefused):
    """The provider does not permit the app to do this: check its permissions and the organisation's policies."""


class MailboxUnavailable(FailedPrecondition):
    """The account has no mailbox that the API reaches: an administrator gives it one."""

    reason = "MAILBOX_UNAVAILABLE"


class TokenRejected(FailedPrecondition):
    """The provider refuses even a fresh token: connect the account again."""

    reason = "TENANT_NEEDS_REAUTHORIZATION"


class PublicUrlUnset(FailedPrecondition):
    """The installation has no public address for pushes: set MAILMESH_PUBLIC_URL, or subscribe by polling."""

    reason = "PUBLIC_URL_UNSET"


class ResourceDataNotAccepted(FailedPrecondition):
    """The installation accepts no notifications with resource data: set it up, or subscribe without."""

    reason = "RESOURCE_DATA_NOT_ACCEPTED"

    @classmethod
    def of(cls, setting: str) -> "ResourceDataNotAccepted":
        """Return the error that names the setting."""
        return cls(subject=setting, metadata={"setting": setting})


class SubscriptionDiffers(FailedPrecondition):
    """The same folder has a subscription that differs in a field: use it, or delete it first."""

    reason = "SUBSCRIPTION_DIFFERS"

    @classmethod
    def of(cls, subscription_id: str, field: str) -> "SubscriptionDiffers":
        """Return the error for a subscription and the field in which it differs."""
        return cls(subject=subscription_id, metadata={"subscription_id": subscription_id, "field": field})


class KeyUnavailable(Unavailable):
    """The key that sealed a certificate's private key is not loaded: load it again."""

    reason = "KEY_UNAVAILABLE"


class SealBroken(DataLoss):
    """The sealed private key of a certificate was altered, or belongs to another certificate."""

    reason = "SEAL_BROKEN"


class InstallationMisconfigured(FailedPrecondition):
    """A setting of this installation is missing or wrong; no tenant is at fault."""

    reason = "INSTALLATION_MISCONFIGURED"


class ProviderThrottled(ResourceExhausted):
    """The provider asks to slow down."""

    reason = "PROVIDER_THROTTLED"


class ProviderUnavailable(Unavailable):
    """The provider did not answer, or answered with a passing fault."""

    reason = "PROVIDER_UNAVAILABLE"


class EdgeUnavailable(ServiceUnavailable):
    """The edge's admin interface does not answer."""
