"""Graph's lifecycle notifications in PostgreSQL, and their effects on subscriptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mailmesh.ingest.v1.subscription_service_pb2 import (
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_DELETING,
    SUBSCRIPTION_STATE_SUSPENDED,
)
from services.meshkit import db

KNOWN_EVENTS: Final = frozenset({"reauthorizationRequired", "subscriptionRemoved", "missed"})
# A notification does not revive a subscription that is ending or that waits for its tenant.
_RESTING: Final = [SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_DELETING, SUBSCRIPTION_STATE_SUSPENDED]

_ACCEPT = """
INSERT INTO ingest.lifecycle_notifications
    (lifecycle_id, subscription_id, tenant_id, event, received_at, due_at, correlation_id, traceparent)
SELECT lifecycle_id, subscription_id, tenant_id, event, received_at, received_at, correlation_id, traceparent
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::uuid[], $7::text[])
    AS arrived (lifecycle_id, subscription_id, tenant_id, event, received_at, correlation_id, traceparent)
ORDER BY subscription_id, event
ON CONFLICT (subscription_id, event) WHERE worked_at IS NULL DO NOTHING
"""
_LOCK_NEXT = """
SELECT lifecycle_id::text, subscription_id::text, tenant_id::text, event FROM ingest.lifecycle_notifications
WHERE worked_at IS NULL AND due_at <= $1 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_MARK_PROCESSED = "UPDATE ingest.lifecycle_notifications SET worked_at = $2 WHERE lifecycle_id = $1"
_POSTPONE = "UPDATE ingest.lifecycle_notifications SET due_at = $2 WHERE lifecycle_id = $1"
_LAST_PROCESSED = """
SELECT max(worked_at) FROM ingest.lifecycle_notifications WHERE subscription_id = $1 AND event = $2
"""
_CALENDAR_OF = "SELECT calendar_id::text FROM ingest.subscriptions WHERE subscription_id = $1"
_RENEW_NOW = """
UPDATE ingest.subscriptions SET renew_at = $2, reconcile_reason = COALESCE(reconcile_reason, $3)
WHERE subscription_id = $1 AND state <> ALL ($4::smallint[])
"""
_RECREATE = """
UPDATE ingest.subscriptions SET renew_at = $2, provider_subscription_id = NULL, expires_at = NULL,
    reconcile_reason = COALESCE(reconcile_reason, $3)
WHERE subscription_id = $1 AND state <> ALL ($4::smallint[])
"""


@dataclass(frozen=True, slots=True)
class NewLifecycle:
    """A lifecycle notification that is not on disk yet.

    Args:
        lifecycle_id: UUIDv7.
        subscription_id: Our id.
        tenant_id: The tenant that owns the subscription.
        event: "reauthorizationRequired", "subscriptionRemoved" or "missed".
        received_at: When Ingest received it.
        correlation_id: Of the call that brought it.
        traceparent: Of the call that brought it; may be empty.
    """

    lifecycle_id: str
    subscription_id: str
    tenant_id: str
    event: str
    received_at: datetime
    correlation_id: str
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """A lifecycle notification on disk."""

    lifecycle_id: str
    subscription_id: str
    tenant_id: str
    event: str


async def accept(pool: db.Pool, notifications: Sequence[NewLifecycle], seconds: float) -> None:
    """Commit lifecycle notifications. One that is already pending for the same subscription is not duplicated.

    Args:
        pool: Connections to PostgreSQL.
        notifications: Any number.
        seconds: The deadline of the statement.

    Raises:
        StoreUnavailable: The notifications may not be on disk.
    """
    columns = (
        [notification.lifecycle_id for notification in notifications],
        [notification.subscription_id for notification in notifications],
        [notification.tenant_id for notification in notifications],
        [notification.event for notification in notifications],
        [notification.received_at for notification in notifications],
        [notification.correlation_id for notification in notifications],
        [notification.traceparent for notification in notifications],
    )
    async with db.transaction(pool) as connection:
        await connection.execute(_ACCEPT, *columns, timeout=seconds)


async def lock_next(connection: db.Connection, now: datetime) -> Lifecycle | None:
    """Lock the oldest due notification until the transaction ends, skipping those that other processes have locked."""
    found = await connection.fetchrow(_LOCK_NEXT, now)
    return None if found is None else Lifecycle(**found)


async def mark_processed(connection: db.Connection, lifecycle_id: str, now: datetime) -> None:
    """Mark a notification as processed."""
    await connection.execute(_MARK_PROCESSED, lifecycle_id, now)


async def postpone(connection: db.Connection, lifecycle_id: str, until: datetime) -> None:
    """Make a notification due later."""
    await connection.execute(_POSTPONE, lifecycle_id, until)


async def last_processed(connection: db.Connection, subscription_id: str, event: str) -> datetime | None:
    """Return when the same event was last processed for the subscription; None when it never was."""
    moment: datetime | None = await connection.fetchval(_LAST_PROCESSED, subscription_id, event)
    return moment


async def calendar_of(connection: db.Connection, subscription_id: str) -> str:
    """Return the calendar that a subscription is about; empty when it is about mail."""
    return str(await connection.fetchval(_CALENDAR_OF, subscription_id) or "")


async def renew_now(connection: db.Connection, subscription_id: str, now: datetime, reconcile_reason: int) -> None:
    """Make the subscription's renewal due."""
    await connection.execute(_RENEW_NOW, subscription_id, now, reconcile_reason, _RESTING)


async def recreate_now(connection: db.Connection, subscription_id: str, now: datetime, reconcile_reason: int) -> None:
    """Forget the provider's subscription, which is gone, and make the creation of a new one due."""
    await connection.execute(_RECREATE, subscription_id, now, reconcile_reason, _RESTING)
