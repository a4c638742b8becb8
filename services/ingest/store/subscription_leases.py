"""Leases on subscriptions, and how a step ends.

Work on a tenant's subscriptions is leased one at a time: at Google they are all one watch. A lease is a row's own,
with a fence that every commit is conditional on; nothing is held open while a provider is called.

What somebody else changed meanwhile (a deletion, the tenant's state, a notification of Graph's) has made the row due
at another time than the step began with: then the end of the step leaves that time as it is, and so the row due.
"""

from datetime import datetime, timedelta
from typing import Any

from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_PUSH,
    SUBSCRIPTION_STATE_ACTIVE,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_DELETING,
    SUBSCRIPTION_STATE_FAILING,
    SUBSCRIPTION_STATE_POLLING,
    SUBSCRIPTION_STATE_SUSPENDED,
)
from services.ingest.store.connections import Connection
from services.ingest.store.subscription_rows import COLUMNS, row_of
from services.ingest.subscriptions.next_step import ProviderSubscription, SubscriptionRow, renewal_time

LEASE_SECONDS = 90.0
_LEASE_OVER = "lease_until = NULL, lease_holder = ''"
_WELL = "failures = 0, failure_reason = '', failure_detail = ''"


async def due(connection: Connection, provider: str, now: datetime, limit: int) -> list[str]:
    """The ids of what is due at a provider and free, one for each tenant, most overdue first."""
    found = await connection.fetch(
        """
        SELECT subscription_id FROM (
            SELECT DISTINCT ON (tenant_id) tenant_id, subscription_id, renew_at FROM (
                SELECT tenant_id, subscription_id, renew_at FROM ingest.subscriptions AS overdue
                WHERE provider = $3 AND renew_at <= $1 AND NOT EXISTS (
                    SELECT FROM ingest.subscriptions AS held
                    WHERE held.tenant_id = overdue.tenant_id AND held.lease_until > $1
                )
                ORDER BY renew_at LIMIT $2 * 4
            ) AS overdue ORDER BY tenant_id, renew_at
        ) AS one_each ORDER BY renew_at LIMIT $2
        """,
        now,
        limit,
        provider,
    )
    return [str(record["subscription_id"]) for record in found]


async def lease(
    connection: Connection, subscription_id: str, holder: str, now: datetime, *, if_due: bool = False
) -> tuple[SubscriptionRow, int] | None:
    """Leases one, unless another of the same tenant is leased. Runs in a transaction of its own.

    Args:
        connection: Where.
        subscription_id: Which.
        holder: Names the process.
        now: The time.
        if_due: Only if it is still due: another process may have seen the same, and be done with it by now.

    Returns:
        The row and its tenant's status (0 when the tenant is not followed yet), or None when somebody else is at work,
        or was faster.
    """
    async with connection.transaction():
        tenant_id = await connection.fetchval(
            "SELECT tenant_id FROM ingest.subscriptions WHERE subscription_id = $1", subscription_id
        )
        if tenant_id is None:
            return None
        # Two processes that lease two subscriptions of one tenant at the same moment must see each other.
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('subscriptions:' || $1, 0))", str(tenant_id)
        )
        found = await connection.fetchrow(
            f"""
            UPDATE ingest.subscriptions SET lease_holder = $2, lease_until = $3, lease_fence = lease_fence + 1
            WHERE subscription_id = $1 AND (NOT $5 OR renew_at <= $4) AND NOT EXISTS (
                SELECT FROM ingest.subscriptions other
                WHERE other.tenant_id = subscriptions.tenant_id AND other.lease_until > $4
            )
            RETURNING {COLUMNS}
            """,  # noqa: S608 - the columns are constants
            subscription_id,
            holder,
            now + timedelta(seconds=LEASE_SECONDS),
            now,
            if_due,
        )
        if found is None:
            return None
        status = await connection.fetchval("SELECT status FROM ingest.tenants WHERE tenant_id = $1", tenant_id)
        return row_of(found), int(status or 0)


async def put_client_state(connection: Connection, row: SubscriptionRow, digest: bytes) -> bool:
    """Stores the digest of the secret that the next make call sends, before it is sent. The one before stays good.

    Returns:
        Whether the lease still holds.
    """
    return await _changed(
        connection,
        row,
        "previous_client_state_digest = client_state_digest, client_state_digest = $3",
        digest,
    )


async def gone(connection: Connection, row: SubscriptionRow, reconcile_reason: int) -> bool:
    """Stores that the provider has forgotten it; the lease goes on."""
    return await _changed(
        connection,
        row,
        "provider_subscription_id = NULL, expires_at = NULL, reconcile_reason = COALESCE(reconcile_reason, $3)",
        reconcile_reason,
    )


async def made(
    connection: Connection, row: SubscriptionRow, made_: ProviderSubscription, now: datetime, *, is_new: bool
) -> bool:
    """Stores that the provider made or renewed it, and ends the lease.

    At Google the watch is the tenant's: all of its pushed subscriptions last as long.

    Returns:
        Whether the lease still held; if not, nothing was stored.
    """
    renew_at = renewal_time(row.provider, now, made_.expires_at)
    is_stored = await _ended(
        connection,
        row,
        SUBSCRIPTION_STATE_ACTIVE,
        renew_at,
        f"""provider_subscription_id = $7, expires_at = $8, last_renewed_at = $9,
            history_id = COALESCE($10, history_id), silence_noted_at = NULL, {_WELL},
            reconcile_reason = CASE WHEN renew_at IS NOT DISTINCT FROM $5 THEN NULL ELSE reconcile_reason END,
            previous_client_state_digest = CASE WHEN $11 THEN previous_client_state_digest END""",
        made_.provider_subscription_id or None,
        made_.expires_at,
        now,
        made_.history_id,
        is_new,
    )
    if is_stored and row.provider == "googlews":
        await _extend_watch(connection, row, made_.expires_at, renew_at, now)
    return is_stored


async def _extend_watch(
    connection: Connection, row: SubscriptionRow, expires_at: datetime, renew_at: datetime, now: datetime
) -> None:
    """What the same watch serves lasts as long, but for what is due for a reason of its own."""
    await connection.execute(
        """
        UPDATE ingest.subscriptions SET expires_at = $3, renew_at = GREATEST(renew_at, $4), last_renewed_at = $5
        WHERE tenant_id = $1 AND subscription_id <> $2 AND state = $6 AND expires_at IS NOT NULL
          AND renew_at > $5 AND reconcile_reason IS NULL
        """,
        row.tenant_id,
        row.subscription_id,
        expires_at,
        renew_at,
        now,
        SUBSCRIPTION_STATE_ACTIVE,
    )


async def polled(connection: Connection, row: SubscriptionRow) -> bool:
    """Stores that nothing is asked of the provider, and ends the lease."""
    return await _ended(
        connection,
        row,
        SUBSCRIPTION_STATE_POLLING,
        None,
        f"provider_subscription_id = NULL, expires_at = NULL, reconcile_reason = NULL, {_WELL}",
    )


async def failed(connection: Connection, row: SubscriptionRow, *, reason: str, detail: str, retry_at: datetime) -> bool:
    """Stores a failure and when it is tried again, and ends the lease."""
    return await _ended(
        connection,
        row,
        SUBSCRIPTION_STATE_DELETING if row.state == SUBSCRIPTION_STATE_DELETING else SUBSCRIPTION_STATE_FAILING,
        retry_at,
        "failures = failures + 1, failure_reason = $7, failure_detail = $8",
        reason,
        detail,
    )


async def put_away(connection: Connection, row: SubscriptionRow, *, state: int, is_at_provider: bool) -> bool:
    """Stores that it is deleted or suspended, and ends the lease: nothing is due until something changes."""
    return await _ended(
        connection,
        row,
        state,
        None,
        f"""provider_subscription_id = CASE WHEN $7 THEN provider_subscription_id END,
            expires_at = CASE WHEN $7 THEN expires_at END, {_WELL}""",
        is_at_provider,
    )


async def give_back(connection: Connection, row: SubscriptionRow) -> bool:
    """Ends the lease with nothing done; what was due is due still."""
    return await _changed(connection, row, _LEASE_OVER)


async def watched_labels(connection: Connection, tenant_id: str, but_not: str) -> list[tuple[str, ...]]:
    """What a tenant's other pushed Gmail subscriptions watch.

    One whose labels Google refuses is left out: it would take the others down with it.
    """
    found = await connection.fetch(
        """
        SELECT label_ids FROM ingest.subscriptions
        WHERE tenant_id = $1 AND subscription_id <> $2 AND delivery_mode = $3 AND state <> ALL ($4::smallint[])
          AND NOT (state = $5 AND failure_reason = 'SUBSCRIPTION_REFUSED')
        """,
        tenant_id,
        but_not,
        DELIVERY_MODE_PUSH,
        [SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_DELETING, SUBSCRIPTION_STATE_SUSPENDED],
        SUBSCRIPTION_STATE_FAILING,
    )
    return [tuple(record["label_ids"]) for record in found]


async def has_working_sibling(connection: Connection, row: SubscriptionRow) -> bool:
    """Whether another subscription of the tenant works: then a refusal is about this one, not about the tenant."""
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM ingest.subscriptions
                WHERE tenant_id = $1 AND subscription_id <> $2 AND state = $3 AND delivery_mode = $4
            )
            """,
            row.tenant_id,
            row.subscription_id,
            SUBSCRIPTION_STATE_ACTIVE,
            DELIVERY_MODE_PUSH,
        )
    )


async def _ended(
    connection: Connection, row: SubscriptionRow, state: int, due_at: datetime | None, assignments: str, *values: Any
) -> bool:
    """Ends a step: the state and the next time, unless somebody has changed the row meanwhile; then it stays due."""
    return await _changed(
        connection,
        row,
        f"""state = CASE WHEN state = $6 AND $3 <> {SUBSCRIPTION_STATE_DELETED} THEN state ELSE $3::smallint END,
            renew_at = CASE WHEN renew_at IS NOT DISTINCT FROM $5 THEN $4::timestamptz ELSE renew_at END,
            {_LEASE_OVER}, {assignments}""",
        state,
        due_at,
        row.renew_at,
        SUBSCRIPTION_STATE_DELETING,
        *values,
    )


async def _changed(connection: Connection, row: SubscriptionRow, assignments: str, *values: Any) -> bool:
    result = await connection.execute(
        f"""
        UPDATE ingest.subscriptions SET {assignments}, updated_at = now()
        WHERE subscription_id = $1 AND lease_fence = $2
        """,  # noqa: S608
        row.subscription_id,
        row.lease_fence,
        *values,
    )
    return bool(result == "UPDATE 1")
