"""Leases on subscriptions, and the results of the steps under them.

The subscriptions of a tenant are leased one at a time, because at Google they share one watch. A lease belongs to a row
and has a fence, on which every commit is conditional; no lock and no transaction is held while a provider is called.

A concurrent change (a deletion, the tenant's state, a notification from Graph) moves the time at which the row is due.
The end of a step compares that time with the one at its start, and leaves a moved time as it is, so the row stays due.
"""

from datetime import datetime, timedelta
from typing import Final

from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_POLL,
    DELIVERY_MODE_PUSH,
    SUBSCRIPTION_RESOURCE_MAIL,
    SUBSCRIPTION_STATE_ACTIVE,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_DELETING,
    SUBSCRIPTION_STATE_FAILING,
    SUBSCRIPTION_STATE_POLLING,
    SUBSCRIPTION_STATE_SUSPENDED,
)
from services.ingest.store.subscription_rows import COLUMNS, ProviderSubscription, SubscriptionRow, row_of
from services.meshkit import db
from services.providers.names import GOOGLEWS

LEASE_SECONDS: Final = 90.0
_LEASE_OVER = "lease_until = NULL, lease_holder = ''"
_WELL = "failures = 0, failure_reason = '', failure_detail = ''"


def _update(assignments: str) -> str:
    """Return the statement of a change under a lease: nothing is stored when the lease is lost."""
    return f"""
UPDATE ingest.subscriptions SET {assignments}, updated_at = now()
WHERE subscription_id = $1 AND lease_fence = $2
"""  # noqa: S608 - constants of this module


def _end(assignments: str) -> str:
    """Return the statement of a step's end: the state and the next time, unless a concurrent change moved the time."""
    return _update(
        f"""state = CASE WHEN state = $6 AND $3 <> {SUBSCRIPTION_STATE_DELETED} THEN state ELSE $3::smallint END,
    renew_at = CASE WHEN renew_at IS NOT DISTINCT FROM $5 THEN $4::timestamptz ELSE renew_at END,
    {_LEASE_OVER}, {assignments}"""
    )


_DUE = """
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
"""
_TENANT_OF = "SELECT tenant_id FROM ingest.subscriptions WHERE subscription_id = $1"
_LOCK_TENANT = "SELECT pg_advisory_xact_lock(hashtextextended('subscriptions:' || $1, 0))"
_LEASE = f"""
UPDATE ingest.subscriptions SET lease_holder = $2, lease_until = $3, lease_fence = lease_fence + 1
WHERE subscription_id = $1 AND (NOT $5 OR renew_at <= $4) AND NOT EXISTS (
    SELECT FROM ingest.subscriptions other
    WHERE other.tenant_id = subscriptions.tenant_id AND other.lease_until > $4
)
RETURNING {COLUMNS}
"""  # noqa: S608 - constants of this package
_TENANT_STATUS = "SELECT status FROM ingest.tenants WHERE tenant_id = $1"
_PUT_CLIENT_STATE = _update(
    "previous_client_state_digest = client_state_digest, client_state_digest = $3, certificate_id = $4"
)
_LOST = _update("provider_subscription_id = NULL, expires_at = NULL, reconcile_reason = COALESCE(reconcile_reason, $3)")
_ACTIVE = _end(
    f"""provider_subscription_id = $7, expires_at = $8, last_renewed_at = $9,
    history_id = COALESCE($10, history_id), silence_noted_at = NULL, {_WELL},
    delivery_mode = CASE WHEN resource = {SUBSCRIPTION_RESOURCE_MAIL} THEN delivery_mode ELSE {DELIVERY_MODE_PUSH} END,
    reconcile_reason = CASE WHEN renew_at IS NOT DISTINCT FROM $5 THEN NULL ELSE reconcile_reason END,
    previous_client_state_digest = CASE WHEN $11 THEN previous_client_state_digest END, certificate_id = $12"""
)
_EXTEND_WATCH = """
UPDATE ingest.subscriptions SET expires_at = $3, renew_at = GREATEST(renew_at, $4), last_renewed_at = $5
WHERE tenant_id = $1 AND subscription_id <> $2 AND state = $6 AND resource = $7 AND expires_at IS NOT NULL
  AND renew_at > $5 AND reconcile_reason IS NULL
"""
_POLLING = _end(f"provider_subscription_id = NULL, expires_at = NULL, reconcile_reason = NULL, {_WELL}")
_NOT_PUSHED = _end(
    """provider_subscription_id = NULL, expires_at = NULL, reconcile_reason = NULL, delivery_mode = $7, failures = 0,
    failure_reason = $8, failure_detail = $9"""
)
_FAILED = _end("failures = failures + 1, failure_reason = $7, failure_detail = $8")
_ENDED = _end(
    f"""provider_subscription_id = CASE WHEN $7 THEN provider_subscription_id END,
    expires_at = CASE WHEN $7 THEN expires_at END, {_WELL}"""
)
_RELEASE = _update(_LEASE_OVER)
_WATCHED_LABELS = """
SELECT label_ids FROM ingest.subscriptions
WHERE tenant_id = $1 AND subscription_id <> $2 AND delivery_mode = $3 AND state <> ALL ($4::smallint[])
  AND resource = $6
  AND NOT (state = $5 AND failure_reason = 'SUBSCRIPTION_REFUSED')
"""
_HAS_WORKING_SIBLING = """
SELECT EXISTS (
    SELECT FROM ingest.subscriptions
    WHERE tenant_id = $1 AND subscription_id <> $2 AND state = $3 AND delivery_mode = $4 AND resource = $5
)
"""


async def due(connection: db.Connection, provider: str, now: datetime, limit: int) -> list[str]:
    """Return the ids of due subscriptions at a provider without a lease: one for each tenant, most overdue first."""
    return [str(record["subscription_id"]) for record in await connection.fetch(_DUE, now, limit, provider)]


async def lease(
    connection: db.Connection, subscription_id: str, holder: str, now: datetime, *, if_due: bool = False
) -> tuple[SubscriptionRow, int] | None:
    """Lease a subscription, unless another one of the same tenant is leased. Opens a transaction of its own.

    Args:
        connection: A connection to PostgreSQL.
        subscription_id: The subscription.
        holder: Name of the process.
        now: The time.
        if_due: Only if it is still due: another process may have seen it as due too, and have finished it by now.

    Returns:
        The row and its tenant's status (0 when the tenant is not followed yet), or None when another process holds a
        lease on the tenant, or was faster.
    """
    async with connection.transaction():
        tenant_id = await connection.fetchval(_TENANT_OF, subscription_id)
        if tenant_id is None:
            return None
        # Two processes that lease two subscriptions of one tenant at the same moment must see each other.
        await connection.execute(_LOCK_TENANT, str(tenant_id))
        until = now + timedelta(seconds=LEASE_SECONDS)
        found = await connection.fetchrow(_LEASE, subscription_id, holder, until, now, if_due)
        if found is None:
            return None
        status = await connection.fetchval(_TENANT_STATUS, tenant_id)
        return row_of(found), int(status or 0)


async def put_client_state(
    connection: db.Connection, row: SubscriptionRow, digest: bytes, certificate_id: str = ""
) -> bool:
    """Store the digest of the next create call's secret, before the call. The previous secret stays valid.

    Args:
        connection: A connection to PostgreSQL.
        row: The leased subscription.
        digest: SHA-256 of the secret.
        certificate_id: The certificate of the call; empty for one without resource data.

    Returns:
        Whether the lease still holds.
    """
    return await _changed(connection, _PUT_CLIENT_STATE, row, digest, certificate_id or None)


async def record_lost(connection: db.Connection, row: SubscriptionRow, reconcile_reason: int) -> bool:
    """Store that the provider does not know the subscription any more; the lease continues.

    Returns:
        Whether the lease still holds.
    """
    return await _changed(connection, _LOST, row, reconcile_reason)


async def record_active(
    connection: db.Connection,
    row: SubscriptionRow,
    at_provider: ProviderSubscription,
    now: datetime,
    *,
    renew_at: datetime,
    is_new: bool,
) -> bool:
    """Store that the provider created or renewed the subscription, and end the lease.

    Gmail's watch belongs to the tenant: all of its pushed subscriptions to mail expire together.

    Returns:
        Whether the lease still held; if not, nothing was stored.
    """
    is_stored = await _ended(
        connection,
        _ACTIVE,
        row,
        SUBSCRIPTION_STATE_ACTIVE,
        renew_at,
        at_provider.provider_subscription_id or None,
        at_provider.expires_at,
        now,
        at_provider.history_id,
        is_new,
        at_provider.certificate_id or None,
    )
    if is_stored and row.provider == GOOGLEWS and row.is_of_mail:
        # The watch serves the tenant's other subscriptions too, except those that are due for a reason of their own.
        await connection.execute(
            _EXTEND_WATCH,
            row.tenant_id,
            row.subscription_id,
            at_provider.expires_at,
            renew_at,
            now,
            SUBSCRIPTION_STATE_ACTIVE,
            SUBSCRIPTION_RESOURCE_MAIL,
        )
    return is_stored


async def record_polling(connection: db.Connection, row: SubscriptionRow) -> bool:
    """Store that the subscription is polled and needs nothing at the provider, and end the lease."""
    return await _ended(connection, _POLLING, row, SUBSCRIPTION_STATE_POLLING, None)


async def record_not_pushed(
    connection: db.Connection, row: SubscriptionRow, *, reason: str, detail: str, retry_at: datetime | None = None
) -> bool:
    """Store that pushes do not work for a calendar, which is polled from now on, and end the lease.

    Args:
        connection: A connection to PostgreSQL.
        row: The leased subscription.
        reason: The reason from the error catalogue.
        detail: A sentence about it.
        retry_at: When a push is retried; None when only a change of the tenant or the address makes it due.

    Returns:
        Whether the lease still held; if not, nothing was stored.
    """
    return await _ended(
        connection, _NOT_PUSHED, row, SUBSCRIPTION_STATE_POLLING, retry_at, DELIVERY_MODE_POLL, reason, detail
    )


async def record_failure(
    connection: db.Connection, row: SubscriptionRow, *, reason: str, detail: str, retry_at: datetime
) -> bool:
    """Store a failure and the time of the retry, and end the lease."""
    is_deleting = row.state == SUBSCRIPTION_STATE_DELETING
    state = SUBSCRIPTION_STATE_DELETING if is_deleting else SUBSCRIPTION_STATE_FAILING
    return await _ended(connection, _FAILED, row, state, retry_at, reason, detail)


async def record_ended(connection: db.Connection, row: SubscriptionRow, *, state: int, is_at_provider: bool) -> bool:
    """Store that the subscription is deleted or suspended, and end the lease: nothing is due until a change."""
    return await _ended(connection, _ENDED, row, state, None, is_at_provider)


async def release(connection: db.Connection, row: SubscriptionRow) -> bool:
    """End the lease without a result; the row stays as due as it was."""
    return await _changed(connection, _RELEASE, row)


async def watched_labels(connection: db.Connection, tenant_id: str, but_not: str) -> list[tuple[str, ...]]:
    """Return the labels of a tenant's other pushed Gmail subscriptions.

    A subscription whose labels Google refuses is left out, because it would make the watch of the others fail too.
    """
    found = await connection.fetch(
        _WATCHED_LABELS,
        tenant_id,
        but_not,
        DELIVERY_MODE_PUSH,
        [SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_DELETING, SUBSCRIPTION_STATE_SUSPENDED],
        SUBSCRIPTION_STATE_FAILING,
        SUBSCRIPTION_RESOURCE_MAIL,
    )
    return [tuple(record["label_ids"]) for record in found]


async def has_working_sibling(connection: db.Connection, row: SubscriptionRow) -> bool:
    """Return whether another pushed subscription to mail is active: then a refusal concerns only this one."""
    return bool(
        await connection.fetchval(
            _HAS_WORKING_SIBLING,
            row.tenant_id,
            row.subscription_id,
            SUBSCRIPTION_STATE_ACTIVE,
            DELIVERY_MODE_PUSH,
            SUBSCRIPTION_RESOURCE_MAIL,
        )
    )


async def _ended(
    connection: db.Connection,
    statement: str,
    row: SubscriptionRow,
    state: int,
    due_at: datetime | None,
    *values: object,
) -> bool:
    return await _changed(connection, statement, row, state, due_at, row.renew_at, SUBSCRIPTION_STATE_DELETING, *values)


async def _changed(connection: db.Connection, statement: str, row: SubscriptionRow, *values: object) -> bool:
    result = await connection.execute(statement, row.subscription_id, row.lease_fence, *values)
    return bool(result == "UPDATE 1")
