"""Reconciliations of a mailbox, as items of its inbox. One that is already pending is not duplicated."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from mailmesh.ingest.v1.inbox_item_pb2 import Reconcile, ReconcileReason
from mailmesh.vault.v1.tenant_pb2 import TenantStatus
from services.ingest.errors import TenantDisconnected
from services.ingest.store import mailboxes
from services.ingest.store.items import Kind
from services.ingest.store.matching import KEPT_STATUSES
from services.meshkit import db
from services.meshkit.correlation import correlation_id
from services.meshkit.ids import new_id
from services.meshkit.tracing import traceparent

_DISABLED = TenantStatus.TENANT_STATUS_DISABLED
_STATUS = "SELECT status FROM ingest.tenants WHERE tenant_id = $1"
_WAITING = """
SELECT item_id::text, content, due_at FROM ingest.items
WHERE tenant_id = $1 AND kind = 10
    AND item_id <> ALL (SELECT unnest(out_item_ids) FROM ingest.mailboxes WHERE tenant_id = $1)
"""
_MERGE = """
UPDATE ingest.items
SET content = $3, due_at = CASE WHEN $4::timestamptz > now() AND due_at > now() THEN least(due_at, $4) END
WHERE tenant_id = $1 AND item_id = $2
"""
_INSERT = """
INSERT INTO ingest.items (tenant_id, item_id, kind, received_at, due_at, content, correlation_id, traceparent)
VALUES ($1, $2, $3, now(), CASE WHEN $4::timestamptz > now() THEN $4 END, $5, $6, $7)
"""
_IN = "SELECT now() + $1::interval"
_WAKE = """
UPDATE ingest.mailboxes SET next_due_at = greatest(now(), $2)
WHERE tenant_id = $1 AND lease_until IS NULL AND (next_due_at IS NULL OR next_due_at > greatest(now(), $2))
RETURNING next_due_at <= now() AND NOT is_waiting
"""


@dataclass(frozen=True, slots=True)
class ReconcileRequest:
    """A requested reconciliation.

    Args:
        reason: Why the mailbox is reconciled.
        since: Where it begins; None leaves it to the mailbox's own coverage.
        not_before: When it is due; None means at once.
        delay: The same as a span from now; used when `not_before` is None.
    """

    reason: ReconcileReason.ValueType
    since: datetime | None = None
    not_before: datetime | None = None
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class EnqueuedReconcile:
    """The item that carries the reconciliation.

    Args:
        item_id: Id of the item.
        was_waiting: The item was pending already.
        is_due: The mailbox had nothing due before and has now: a worker has to be woken.
    """

    item_id: str
    was_waiting: bool
    is_due: bool


async def enqueue(connection: db.Connection, tenant_id: str, wanted: ReconcileRequest) -> EnqueuedReconcile:
    """Put a reconciliation of a locked mailbox into the inbox.

    A pending one is widened and made due earlier where needed. One that a worker holds does not count, because the
    change in question may have happened after the worker compared. A reconciliation without a bound and one with a
    bound stay separate items.

    Args:
        connection: In a transaction that holds the mailbox's lock.
        tenant_id: The mailbox's tenant.
        wanted: The reconciliation.
    """
    due_at = wanted.not_before or await connection.fetchval(_IN, wanted.delay)
    waiting = _same_bound(await connection.fetch(_WAITING, tenant_id), wanted)
    if waiting is None:
        item_id = await _insert(connection, tenant_id, wanted, due_at)
    else:
        item_id = waiting["item_id"]
        await connection.execute(_MERGE, tenant_id, item_id, _widened(waiting["content"], wanted), due_at)
    is_due = bool(await connection.fetchval(_WAKE, tenant_id, due_at))
    return EnqueuedReconcile(item_id, waiting is not None, is_due)


async def enqueue_for_tenant(pool: db.Pool, tenant_id: str, wanted: ReconcileRequest) -> EnqueuedReconcile:
    """Lock a mailbox and put a reconciliation into its inbox, as `enqueue` does. Safe to call again.

    Raises:
        TenantNotFound: There is no such tenant.
        TenantDisconnected: The tenant's items are discarded.
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.transaction(pool) as connection:
        await mailboxes.lock(connection, tenant_id)
        status = await connection.fetchval(_STATUS, tenant_id)
        if status not in KEPT_STATUSES and status != _DISABLED:
            raise TenantDisconnected.of(tenant_id)
        return await enqueue(connection, tenant_id, wanted)


async def _insert(connection: db.Connection, tenant_id: str, wanted: ReconcileRequest, due_at: datetime) -> str:
    item_id = new_id()
    content = Reconcile(reason=wanted.reason, reconcile_id=item_id)
    if wanted.since is not None:
        content.since.FromDatetime(wanted.since)
    await connection.execute(
        _INSERT,
        tenant_id,
        item_id,
        Kind.RECONCILE,
        due_at,
        content.SerializeToString(),
        correlation_id() or new_id(),
        traceparent(),
    )
    return item_id


def _same_bound(rows: list[asyncpg.Record], wanted: ReconcileRequest) -> asyncpg.Record | None:
    for row in rows:
        if Reconcile.FromString(row["content"]).HasField("since") is (wanted.since is not None):
            return row
    return None


def _widened(content: bytes, wanted: ReconcileRequest) -> bytes:
    reconcile = Reconcile.FromString(content)
    if wanted.since is not None and wanted.since < reconcile.since.ToDatetime(tzinfo=wanted.since.tzinfo):
        reconcile.since.FromDatetime(wanted.since)
    if reconcile.reason == ReconcileReason.RECONCILE_REASON_SCHEDULE:  # a scheduled one may compare less than others
        reconcile.reason = wanted.reason
    return reconcile.SerializeToString()
