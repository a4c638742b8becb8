"""How what arrived gets onto the disk: items in one statement for the whole group, lifecycle notifications apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.ingest.store.connections import Connection, DedicatedConnection, Pool, transaction
from services.ingest.store.items import NewItem, NewLifecycle

# A repeat finds its key and makes nothing; when another process is just writing the same key, we wait for its commit,
# so that a repeat too is acknowledged only when it is on disk. Keys and mailboxes are taken in order: no deadlock.
#
# The mailbox is locked FOR KEY SHARE until the commit. Whoever declares a mailbox empty takes FOR UPDATE and thereby
# waits for us or we for him, so no item is overlooked; whoever claims takes FOR NO KEY UPDATE and is not hindered.
_ACCEPT_ITEMS = """
WITH arrived AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::smallint[], $4::bytea[], $5::timestamptz[], $6::uuid[], $7::text[], $8::uuid[],
        $9::uuid[]
    ) AS arrived (item_id, tenant_id, kind, content, received_at, correlation_id, traceparent, key, other_key)
), fresh AS (
    INSERT INTO ingest.item_keys (key, seen_at)
    SELECT key, now() FROM (
        SELECT key FROM arrived UNION ALL SELECT other_key FROM arrived WHERE other_key IS NOT NULL
    ) AS keys
    ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING key
), kept AS (
    INSERT INTO ingest.items (tenant_id, item_id, kind, received_at, content, correlation_id, traceparent)
    SELECT tenant_id, item_id, kind, received_at, content, correlation_id, traceparent
    FROM arrived
    WHERE key IN (SELECT key FROM fresh) AND (other_key IS NULL OR other_key IN (SELECT key FROM fresh))
    RETURNING tenant_id
), held AS MATERIALIZED (
    SELECT tenant_id, next_due_at, lease_until FROM ingest.mailboxes
    WHERE tenant_id IN (SELECT tenant_id FROM arrived)
    ORDER BY tenant_id
    FOR KEY SHARE
), woken AS (
    UPDATE ingest.mailboxes AS mailbox SET next_due_at = now()
    FROM held
    WHERE mailbox.tenant_id = held.tenant_id
        AND (held.next_due_at IS NULL OR (held.next_due_at > now() AND held.lease_until IS NULL))
        AND held.tenant_id IN (SELECT tenant_id FROM kept)
    RETURNING mailbox.tenant_id
)
SELECT (SELECT count(*) FROM kept) AS items, ARRAY(SELECT tenant_id::text FROM woken) AS tenant_ids
"""

_ACCEPT_LIFECYCLE = """
INSERT INTO ingest.lifecycle_notifications
    (lifecycle_id, subscription_id, tenant_id, event, received_at, due_at, correlation_id, traceparent)
SELECT lifecycle_id, subscription_id, tenant_id, event, received_at, received_at, correlation_id, traceparent
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::uuid[], $7::text[])
    AS told (lifecycle_id, subscription_id, tenant_id, event, received_at, correlation_id, traceparent)
ORDER BY subscription_id, event
ON CONFLICT (subscription_id, event) WHERE worked_at IS NULL DO NOTHING
"""


@dataclass(frozen=True)
class Accepted:
    """What became of a group that is on disk now.

    Args:
        new_items: How many were no repeats.
        due_tenant_ids: Tenants that had nothing due before.
    """

    new_items: int
    due_tenant_ids: Sequence[str]


async def accept_in(connection: Connection, items: Sequence[NewItem]) -> None:
    """Puts items into the inbox in a transaction of the caller's. Safe to call again: a repeat makes nothing."""
    await connection.fetchrow(_ACCEPT_ITEMS, *_columns(items))


class ArrivalStore:
    """Writes what arrived.

    Args:
        connection: Of the one writer.
        pool: For what is rare.
    """

    def __init__(self, connection: DedicatedConnection, pool: Pool) -> None:
        self._connection = connection
        self._pool = pool

    async def accept_items(self, items: Sequence[NewItem], seconds: float) -> Accepted:
        """Commits items. Safe to call again: a repeat makes nothing.

        Args:
            items: No two with the same key.
            seconds: What it may take. When it takes longer, what became of it is unknown.

        Raises:
            StoreUnavailable: It is not certain to be on disk.
        """
        row = await self._connection.fetchrow(_ACCEPT_ITEMS, *_columns(items), seconds=seconds)
        return Accepted(row["items"], row["tenant_ids"])

    async def accept_lifecycle(self, told: Sequence[NewLifecycle], seconds: float) -> None:
        """Commits lifecycle notifications; one that waits already for the same subscription is not doubled.

        Args:
            told: Any number.
            seconds: What the statement may take.

        Raises:
            StoreUnavailable: It is not certain to be on disk.
        """
        columns = (
            [one.lifecycle_id for one in told],
            [one.subscription_id for one in told],
            [one.tenant_id for one in told],
            [one.event for one in told],
            [one.received_at for one in told],
            [one.correlation_id for one in told],
            [one.traceparent for one in told],
        )
        async with transaction(self._pool) as connection:
            await connection.execute(_ACCEPT_LIFECYCLE, *columns, timeout=seconds)


def _columns(items: Sequence[NewItem]) -> tuple[list[object], ...]:
    return (
        [item.item_id for item in items],
        [item.tenant_id for item in items],
        [item.kind for item in items],
        [item.content for item in items],
        [item.received_at for item in items],
        [item.correlation_id for item in items],
        [item.traceparent for item in items],
        [item.key for item in items],
        [item.other_key for item in items],
    )
