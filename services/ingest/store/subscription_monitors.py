"""What is looked after beside the steps: silence, what a disconnect still waits for, how many there are."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_PUSH,
    SUBSCRIPTION_STATE_ACTIVE,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_FAILING,
)
from services.ingest.store import cursors
from services.ingest.store.connections import Connection

_ADDRESS = "public_address"


@dataclass(frozen=True, slots=True)
class Count:
    """How many subscriptions a provider has in a state.

    Attributes:
        provider: "ms365" or "googlews".
        state: A value of `SubscriptionState`.
        subscriptions: How many.
        soonest_expiry: Of those that expire; None when none does.
    """

    provider: str
    state: int
    subscriptions: int
    soonest_expiry: datetime | None


async def silent(connection: Connection, now: datetime, quiet: timedelta, limit: int) -> list[tuple[str, str]]:
    """Notes the pushed subscriptions that were quiet for too long, those that fail included.

    Returns:
        Pairs of subscription and tenant.
    """
    found = await connection.fetch(
        """
        UPDATE ingest.subscriptions SET silence_noted_at = $1 WHERE subscription_id IN (
            SELECT subscription_id FROM ingest.subscriptions
            WHERE state = ANY ($3::smallint[]) AND delivery_mode = $4
              AND GREATEST(last_notification_at, last_renewed_at, silence_noted_at, created_at) <= $2
            ORDER BY subscription_id LIMIT $5 FOR UPDATE SKIP LOCKED
        ) RETURNING subscription_id, tenant_id
        """,
        now,
        now - quiet,
        [SUBSCRIPTION_STATE_ACTIVE, SUBSCRIPTION_STATE_FAILING],
        DELIVERY_MODE_PUSH,
        limit,
    )
    return [(str(record["subscription_id"]), str(record["tenant_id"])) for record in found]


async def note_address(connection: Connection, address: str, now: datetime) -> int:
    """Notes where the edge is. When it was elsewhere before, what pushes there is made due.

    Args:
        connection: In a transaction.
        address: The public address.
        now: The time.

    Returns:
        How many subscriptions are due for it.
    """
    before = await cursors.locked(connection, _ADDRESS)
    if before == address:
        return 0
    await cursors.move(connection, _ADDRESS, address)
    if before is None:
        return 0
    # Google pushes to a topic, whoever reads it.
    due = await connection.fetch(
        """
        UPDATE ingest.subscriptions SET renew_at = $1
        WHERE provider = 'ms365' AND provider_subscription_id IS NOT NULL AND state = ANY ($2::smallint[])
        RETURNING 1
        """,
        now,
        [SUBSCRIPTION_STATE_ACTIVE, SUBSCRIPTION_STATE_FAILING],
    )
    return len(due)


async def unreleased(connection: Connection, tenant_id: str) -> int:
    """How many of a tenant's subscriptions a step is still due about: its change of state made all of them due."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM ingest.subscriptions WHERE tenant_id = $1 AND state <> $2 AND renew_at IS NOT NULL",
        tenant_id,
        SUBSCRIPTION_STATE_DELETED,
    )
    return count


async def counts(connection: Connection) -> list[Count]:
    """Counts all that are not deleted."""
    found = await connection.fetch(
        """
        SELECT provider, state, count(*) AS subscriptions, min(expires_at) AS soonest_expiry
        FROM ingest.subscriptions WHERE state <> $1 GROUP BY provider, state
        """,
        SUBSCRIPTION_STATE_DELETED,
    )
    return [Count(**record) for record in found]
