"""What waits, counted for the pipeline's view. Its cost grows with what waits, not with what was."""

from collections.abc import Sequence

from mailmesh.ingest.v1.inbox_service_pb2 import GetInboxStatusResponse, TenantBacklog
from mailmesh.ingest.v1.subscription_service_pb2 import SubscriptionState
from services.ingest.store.connections import Connection, Pool, reading

_PREFIX = "SUBSCRIPTION_STATE_"
# The oldest of a mailbox is the first in its index, so that nothing is counted that is not shown.
_OLDEST = """
SELECT mailbox.tenant_id::text, mailbox.is_waiting, mailbox.last_notification_at, oldest.received_at,
    extract(epoch FROM now() - oldest.received_at)::float8 AS age
FROM ingest.mailboxes AS mailbox
CROSS JOIN LATERAL (
    SELECT received_at FROM ingest.items WHERE tenant_id = mailbox.tenant_id ORDER BY item_id LIMIT 1
) AS oldest
WHERE $1::uuid[] = '{}' OR mailbox.tenant_id = ANY($1::uuid[])
ORDER BY oldest.received_at
LIMIT $2
"""
_OLDEST_DUE = """
SELECT coalesce(max(extract(epoch FROM now() - oldest.received_at)), 0)::float8
FROM ingest.mailboxes AS mailbox
CROSS JOIN LATERAL (
    SELECT received_at FROM ingest.items
    WHERE tenant_id = mailbox.tenant_id AND due_at IS NULL ORDER BY item_id LIMIT 1
) AS oldest
WHERE NOT mailbox.is_waiting AND ($1::uuid[] = '{}' OR mailbox.tenant_id = ANY($1::uuid[]))
"""
_COUNTS = """
SELECT tenant_id::text, count(*) AS items FROM ingest.items WHERE tenant_id = ANY($1::uuid[]) GROUP BY tenant_id
"""
_TOTALS = """
SELECT
    (SELECT count(*) FROM ingest.items WHERE $1::uuid[] = '{}' OR tenant_id = ANY($1::uuid[])) AS items,
    (SELECT count(*) FROM ingest.dead_letters
        WHERE retried_at IS NULL AND ($1::uuid[] = '{}' OR tenant_id = ANY($1::uuid[]))) AS dead_letters,
    (SELECT coalesce(sum(notifications), 0)::bigint FROM ingest.refusals
        WHERE minute > now() - interval '1 hour') AS refused
"""
_SUBSCRIPTIONS = """
SELECT state, count(*) AS subscriptions FROM ingest.subscriptions
WHERE $1::uuid[] = '{}' OR tenant_id = ANY($1::uuid[]) GROUP BY state
"""


class StatusStore:
    """Counts what waits.

    Args:
        pool: Bounded connections.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, tenant_ids: Sequence[str], listed: int) -> GetInboxStatusResponse:
        """Reads the counts.

        Args:
            tenant_ids: Of these tenants; none means of all.
            listed: Tenants to list at most, those first that have waited the longest.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with reading(self._pool) as connection:
            totals = await connection.fetchrow(_TOTALS, tenant_ids)
            states = await connection.fetch(_SUBSCRIPTIONS, tenant_ids)
            oldest_due = await connection.fetchval(_OLDEST_DUE, tenant_ids)
            tenants = await _tenants(connection, tenant_ids, listed)
        assert totals is not None  # noqa: S101 - aggregates give one row
        return GetInboxStatusResponse(
            pending_items=totals["items"],
            oldest_pending_seconds=oldest_due,
            dead_letters=totals["dead_letters"],
            refused_last_hour=totals["refused"],
            subscriptions_by_state={_label(row["state"]): row["subscriptions"] for row in states},
            tenants=tenants,
        )


async def _tenants(connection: Connection, tenant_ids: Sequence[str], listed: int) -> list[TenantBacklog]:
    rows = await connection.fetch(_OLDEST, tenant_ids, listed)
    counted = await connection.fetch(_COUNTS, [row["tenant_id"] for row in rows])
    counts = {row["tenant_id"]: row["items"] for row in counted}
    backlogs = []
    for row in rows:
        backlog = TenantBacklog(
            tenant_id=row["tenant_id"],
            pending_items=counts.get(row["tenant_id"], 0),
            oldest_pending_seconds=max(0.0, row["age"]),
            is_waiting_for_person=row["is_waiting"],
        )
        if row["last_notification_at"] is not None:
            backlog.last_notification_at.FromDatetime(row["last_notification_at"])
        backlogs.append(backlog)
    return backlogs


def _label(state: SubscriptionState.ValueType) -> str:
    return SubscriptionState.Name(state).removeprefix(_PREFIX).lower()
