"""A subscription as it is stored, and what is to be done about it."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_POLL,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_DELETING,
)
from mailmesh.vault.v1 import tenant_pb2

GMAIL_RENEWAL = timedelta(hours=24)
SHORTEST_RENEWAL = timedelta(seconds=30)
FIRST_STEP = timedelta(seconds=5)
FIRST_RETRY = timedelta(seconds=15)
LONGEST_RETRY = timedelta(hours=1)
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """One row of the table, by the names of its columns that the use cases need."""

    subscription_id: str
    tenant_id: str
    provider: str
    state: int
    folder_id: str
    label_ids: tuple[str, ...]
    change_types: tuple[str, ...]
    delivery_mode: int
    provider_subscription_id: str | None
    expires_at: datetime | None
    renew_at: datetime | None
    last_notification_at: datetime | None
    last_renewed_at: datetime | None
    failure_reason: str
    failure_detail: str
    failures: int
    reconcile_reason: int | None
    lease_fence: int
    covered_from: datetime
    created_at: datetime
    updated_at: datetime

    @property
    def is_polled(self) -> bool:
        """Whether no push is asked for."""
        return self.delivery_mode == DELIVERY_MODE_POLL

    def is_at_provider(self, now: datetime) -> bool:
        """Whether the provider has it, as far as is known."""
        return self.expires_at is not None and self.expires_at > now


@dataclass(frozen=True, slots=True)
class ProviderSubscription:
    """A subscription as the provider made or renewed it.

    Attributes:
        provider_subscription_id: The provider's id; empty where it has none.
        expires_at: When the provider ends it, as the provider says.
        history_id: Gmail's history id at that moment; None elsewhere.
    """

    provider_subscription_id: str
    expires_at: datetime
    history_id: int | None = None


class Step(Enum):
    """What is to be done about a subscription now."""

    MAKE = auto()
    RENEW = auto()
    POLL = auto()
    LET_LAPSE = auto()
    """Nothing more is done about it; the provider ends it by itself."""
    RELEASE = auto()
    """Ended at the provider, kept here for a reconnect."""
    SUSPEND = auto()
    """Kept here for a reconnect; the provider cannot be asked any more."""
    DELETE = auto()
    FORGET = auto()
    """Deleted here; there is nothing at the provider, or nobody can ask it."""


STEPS_OF_RESTING_TENANTS: dict[int, Step] = {
    tenant_pb2.TENANT_STATUS_DISABLED: Step.LET_LAPSE,
    tenant_pb2.TENANT_STATUS_DISCONNECTING: Step.RELEASE,
    tenant_pb2.TENANT_STATUS_DISCONNECTED: Step.SUSPEND,
}


def next_step(row: SubscriptionRow, tenant_status: int, now: datetime) -> Step:
    """Decides what is to be done.

    Args:
        row: The subscription.
        tenant_status: A value of `TenantStatus`.
        now: The time.

    Returns:
        The step, by the table of tenants' states: disabled lets lapse, disconnecting deletes at the provider and keeps
        the row for a reconnect, every other state keeps trying.
    """
    if row.state == SUBSCRIPTION_STATE_DELETED:
        return Step.FORGET
    if row.state == SUBSCRIPTION_STATE_DELETING:
        return _step_to_the_end(row, tenant_status, now)
    if tenant_status in STEPS_OF_RESTING_TENANTS:
        return STEPS_OF_RESTING_TENANTS[tenant_status]
    if row.is_polled:
        return Step.POLL
    return Step.RENEW if row.is_at_provider(now) else Step.MAKE


def _step_to_the_end(row: SubscriptionRow, tenant_status: int, now: datetime) -> Step:
    has_expired = row.expires_at is not None and row.expires_at <= now
    is_beyond_reach = tenant_status == tenant_pb2.TENANT_STATUS_DISCONNECTED
    return Step.FORGET if has_expired or is_beyond_reach else Step.DELETE


def renewal_time(provider: str, now: datetime, expires_at: datetime) -> datetime:
    """Says when to renew: at about half of the life that is left, daily at Google at the latest, with jitter."""
    half = (expires_at - now) / 2
    span = min(half, GMAIL_RENEWAL) if provider == "googlews" else half
    return now + max(span * _jitter(), SHORTEST_RENEWAL)


def retry_time(now: datetime, failures: int, retry_after: timedelta | None, *, is_waiting_for_person: bool) -> datetime:
    """Says when to try again: longer and longer, slowly where a person has to act, never before the provider's word."""
    grown = LONGEST_RETRY if is_waiting_for_person else FIRST_RETRY * 2 ** min(max(failures - 1, 0), 12)
    return now + max(min(grown, LONGEST_RETRY) * _jitter(), retry_after or timedelta())


def _jitter() -> float:
    return 1 + random.uniform(-JITTER, JITTER)  # noqa: S311 - spreads load, guards nothing
