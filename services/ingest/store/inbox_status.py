"""Counts of the inbox for the pipeline's status. The cost grows with the pending items, not with the processed ones."""

from collections.abc import Sequence

from mailmesh.ingest.v1.inbox_service_pb2 import GetInboxStatusResponse, TenantBacklog
from mailmesh.ingest.v1.subscription_service_pb2 import SubscriptionState
from services.meshkit import db

_PREFIX = "SUBSCRIPTION_STATE_"
# The oldest item of a mailbox is the first in its index, so tenants that are not listed are not counted.
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


async def read(connection: db.Connection, tenant_ids: Sequence[str], listed: int) -> GetInboxStatusResponse:
    """Count the pending items, dead letters, refusals and subscriptions.

    Args:
        connection: A connection to PostgreSQL.
        tenant_ids: The tenants to count; none means all.
        listed: The most tenants to list, those that have waited the longest first.
    """
    status = await totals(connection, tenant_ids)
    for row in await connection.fetch(_SUBSCRIPTIONS, tenant_ids):
        status.subscriptions_by_state[_label(row["state"])] = row["subscriptions"]
    status.tenants.extend(await _tenants(connection, tenant_ids, listed))
    return status


async def totals(connection: db.Connection, tenant_ids: Sequence[str]) -> GetInboxStatusResponse:
    """Count the pending items, dead letters and refusals of these tenants together.

    Args:
        connection: A connection to PostgreSQL.
        tenant_ids: The tenants to count; none means all.
    """
    counted = await connection.fetchrow(_TOTALS, tenant_ids)
    oldest_due = await connection.fetchval(_OLDEST_DUE, tenant_ids)
    assert counted is not None  # noqa: S101 - aggregates return one row
    return GetInboxStatusResponse(
        pending_items=counted["items"],
        oldest_pending_seconds=oldest_due,
        dead_letters=counted["dead_letters"],
        refused_last_hour=counted["refused"],
    )


async def _tenants(connection: db.Connection, tenant_ids: Sequence[str], listed: int) -> list[TenantBacklog]:
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
