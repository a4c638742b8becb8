"""Decides the next step of a subscription from its row and its tenant's state."""

from datetime import datetime
from enum import Enum, auto

from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_DELETING
from mailmesh.vault.v1 import tenant_pb2
from services.ingest.store.subscription_rows import SubscriptionRow


class Step(Enum):
    """A step of a subscription."""

    MAKE = auto()
    RENEW = auto()
    POLL = auto()
    LET_LAPSE = auto()
    """No further action; the subscription expires at the provider by itself."""
    RELEASE = auto()
    """Deleted at the provider, kept here for a reconnect."""
    SUSPEND = auto()
    """Kept here for a reconnect; the provider cannot be called any more."""
    DELETE = auto()
    FORGET = auto()
    """Deleted here; the provider has nothing, or cannot be called any more."""


STEPS_OF_RESTING_TENANTS: dict[int, Step] = {
    tenant_pb2.TENANT_STATUS_DISABLED: Step.LET_LAPSE,
    tenant_pb2.TENANT_STATUS_DISCONNECTING: Step.RELEASE,
    tenant_pb2.TENANT_STATUS_DISCONNECTED: Step.SUSPEND,
}

STEPS_OF_PARTING_TENANTS: dict[int, Step] = {
    tenant_pb2.TENANT_STATUS_DISCONNECTING: Step.DELETE,
    tenant_pb2.TENANT_STATUS_DISCONNECTED: Step.FORGET,
}
"""A calendar's subscription is not kept for a reconnect: after it, calendars are followed again first."""


def next_step(row: SubscriptionRow, tenant_status: int, now: datetime) -> Step:
    """Return the next step.

    Args:
        row: The subscription.
        tenant_status: A value of `TenantStatus`.
        now: The time.

    Returns:
        The step, by the table of tenants' states: a disabled tenant's subscription lapses, a disconnecting tenant's is
        deleted at the provider and its row kept for a reconnect, every other state keeps trying.
    """
    if row.state == SUBSCRIPTION_STATE_DELETED:
        return Step.FORGET
    if row.state == SUBSCRIPTION_STATE_DELETING:
        return _deleting_step(row, tenant_status, now)
    if not row.is_of_mail and tenant_status in STEPS_OF_PARTING_TENANTS:
        return STEPS_OF_PARTING_TENANTS[tenant_status]
    if tenant_status in STEPS_OF_RESTING_TENANTS:
        return STEPS_OF_RESTING_TENANTS[tenant_status]
    if row.is_polled and row.is_of_mail:
        return Step.POLL
    # A calendar is polled because pushes did not work: when it is due, they are retried.
    return Step.RENEW if row.is_at_provider(now) else Step.MAKE


def _deleting_step(row: SubscriptionRow, tenant_status: int, now: datetime) -> Step:
    has_expired = row.expires_at is not None and row.expires_at <= now
    is_beyond_reach = tenant_status == tenant_pb2.TENANT_STATUS_DISCONNECTED
    return Step.FORGET if has_expired or is_beyond_reach else Step.DELETE
