"""Lifecycle notifications in PostgreSQL, and what they change about subscriptions."""

from dataclasses import dataclass
from datetime import datetime

from mailmesh.ingest.v1.subscription_service_pb2 import (
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_DELETING,
    SUBSCRIPTION_STATE_SUSPENDED,
)
from services.ingest.store.connections import Connection

KNOWN_EVENTS = frozenset({"reauthorizationRequired", "subscriptionRemoved", "missed"})
# What ends, or waits for its tenant, is not brought back by a notification.
_RESTING = (SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_DELETING, SUBSCRIPTION_STATE_SUSPENDED)


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """A lifecycle notification on disk."""

    lifecycle_id: str
    subscription_id: str
    tenant_id: str
    event: str


async def take(connection: Connection, now: datetime) -> Lifecycle | None:
    """Locks the oldest that is due until the transaction ends, and passes over what another process has locked."""
    found = await connection.fetchrow(
        """
        SELECT lifecycle_id::text, subscription_id::text, tenant_id::text, event FROM ingest.lifecycle_notifications
        WHERE worked_at IS NULL AND due_at <= $1 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
        """,
        now,
    )
    return None if found is None else Lifecycle(**found)


async def worked(connection: Connection, lifecycle_id: str, now: datetime) -> None:
    """Marks one as worked."""
    await connection.execute(
        "UPDATE ingest.lifecycle_notifications SET worked_at = $2 WHERE lifecycle_id = $1", lifecycle_id, now
    )


async def put_off(connection: Connection, lifecycle_id: str, until: datetime) -> None:
    """Makes one due later."""
    await connection.execute(
        "UPDATE ingest.lifecycle_notifications SET due_at = $2 WHERE lifecycle_id = $1", lifecycle_id, until
    )


async def last_processed(connection: Connection, subscription_id: str, event: str) -> datetime | None:
    """When the same was last worked for the subscription."""
    moment: datetime | None = await connection.fetchval(
        "SELECT max(worked_at) FROM ingest.lifecycle_notifications WHERE subscription_id = $1 AND event = $2",
        subscription_id,
        event,
    )
    return moment


async def renew_now(connection: Connection, subscription_id: str, now: datetime, reconcile_reason: int) -> None:
    """Makes a renewal due."""
    await connection.execute(
        """
        UPDATE ingest.subscriptions SET renew_at = $2, reconcile_reason = COALESCE(reconcile_reason, $3)
        WHERE subscription_id = $1 AND state <> ALL ($4::smallint[])
        """,
        subscription_id,
        now,
        reconcile_reason,
        list(_RESTING),
    )


async def make_anew(connection: Connection, subscription_id: str, now: datetime, reconcile_reason: int) -> None:
    """Forgets the provider's subscription, which is gone, and makes a new one due."""
    await connection.execute(
        """
        UPDATE ingest.subscriptions SET renew_at = $2, provider_subscription_id = NULL, expires_at = NULL,
            reconcile_reason = COALESCE(reconcile_reason, $3)
        WHERE subscription_id = $1 AND state <> ALL ($4::smallint[])
        """,
        subscription_id,
        now,
        reconcile_reason,
        list(_RESTING),
    )


async def forget_processed(connection: Connection, before: datetime, limit: int) -> int:
    """Removes what was worked before a time, a bounded number. Returns how many."""
    result = await connection.execute(
        """
        DELETE FROM ingest.lifecycle_notifications WHERE lifecycle_id IN (
            SELECT lifecycle_id FROM ingest.lifecycle_notifications WHERE worked_at < $1 LIMIT $2)
        """,
        before,
        limit,
    )
    return int(result.split()[-1])
