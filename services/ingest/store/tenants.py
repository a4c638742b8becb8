"""The tenants as TokenVault reports them, and the effects of their states on their items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from mailmesh.vault.v1.tenant_pb2 import Tenant, TenantStatus
from mailmesh.vault.v1.token_vault_service_pb2 import TenantChange
from services.ingest.store import cursors, mailboxes, subscriptions
from services.ingest.store.matching import KEPT_STATUSES
from services.ingest.store.reconciles import ReconcileRequest, enqueue
from services.meshkit import db
from services.meshkit.erasing import marked
from services.providers.names import GOOGLEWS

CURSOR: Final = "tenant_changes"
_PROCESSED: Final = frozenset({TenantStatus.TENANT_STATUS_ACTIVE, TenantStatus.TENANT_STATUS_TOKEN_EXPIRED})
_ENDING: Final = frozenset({TenantStatus.TENANT_STATUS_DISCONNECTING, TenantStatus.TENANT_STATUS_DISCONNECTED})

_BEFORE = "SELECT status, address FROM ingest.tenants WHERE tenant_id = $1 FOR UPDATE"
_INSERT = """
INSERT INTO ingest.tenants
    (tenant_id, provider, external_tenant_id, user_id, address, status, granted_scopes, is_release_due)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_INSERT_NEW = f"{_INSERT} ON CONFLICT (tenant_id) DO NOTHING"
_UPSERT = f"""{_INSERT}
ON CONFLICT (tenant_id) DO UPDATE SET provider = excluded.provider, external_tenant_id = excluded.external_tenant_id,
    user_id = excluded.user_id, address = excluded.address, status = excluded.status,
    granted_scopes = excluded.granted_scopes, is_release_due = excluded.is_release_due, updated_at = now()
"""
_RELEASE_DUE = "SELECT tenant_id::text FROM ingest.tenants WHERE is_release_due ORDER BY tenant_id LIMIT $1"
_MARK_RELEASED = "UPDATE ingest.tenants SET is_release_due = false WHERE tenant_id = $1"
_SET_WAITING = "UPDATE ingest.mailboxes SET is_waiting = $2 WHERE tenant_id = $1"
_DISCARD = """
WITH discarded AS (
    DELETE FROM ingest.items WHERE (tenant_id, item_id) IN (
        SELECT tenant_id, item_id FROM ingest.items
        WHERE tenant_id IN (SELECT tenant_id FROM ingest.tenants WHERE status = ANY($1::smallint[]))
        LIMIT $2
    )
    RETURNING *
), kept AS (
    INSERT INTO ingest.worked_items
        (tenant_id, item_id, kind, received_at, worked_at, outcome, attempts, content, correlation_id)
    SELECT tenant_id, item_id, kind, received_at, now(), 'discarded', attempts, content, correlation_id FROM discarded
)
SELECT count(*) FROM discarded
"""


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """The effect of a tenant's change.

    Args:
        tenant_id: The tenant.
        is_due: The tenant's mailbox has something due now.
    """

    tenant_id: str
    is_due: bool


async def read_cursor(connection: db.Connection) -> str:
    """Return the cursor in TokenVault's log of tenants' changes; empty at the beginning."""
    return await cursors.read(connection, CURSOR) or ""


async def apply_changes(
    pool: db.Pool, changes: Sequence[TenantChange], cursor: str, next_cursor: str
) -> Sequence[AppliedChange] | None:
    """Apply changes of tenants and move the cursor, in one transaction.

    Args:
        pool: Connections to PostgreSQL.
        changes: In the order in which TokenVault committed them.
        cursor: Where they begin.
        next_cursor: Where they end.

    Returns:
        The effects of the changes; None when another process was faster and nothing was applied.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.transaction(pool) as connection:
        if (await cursors.lock(connection, CURSOR) or "") != cursor:
            return None
        # A change of an erased tenant, also one read when following begins again, would bring back its row.
        erased = await marked(connection, "ingest", {change.tenant.tenant_id for change in changes})
        applied = [await _apply(connection, change) for change in changes if change.tenant.tenant_id not in erased]
        await cursors.move(connection, CURSOR, next_cursor)
        return applied


async def discard_items(pool: db.Pool, limit: int) -> int:
    """Remove items of disconnected tenants from the inbox.

    Args:
        pool: Connections to PostgreSQL.
        limit: The most items to remove.

    Returns:
        The number of removed items.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.transaction(pool) as connection:
        return int(await connection.fetchval(_DISCARD, list(_ENDING), limit))


async def ensure(connection: db.Connection, tenant: Tenant) -> None:
    """Store a tenant whose change was not followed yet. Safe to call again: a stored tenant stays as it is."""
    # In the order in which `apply_changes` writes them, or the two would wait for each other.
    await mailboxes.ensure(connection, tenant.tenant_id)
    await connection.execute(_INSERT_NEW, *_columns(tenant))


async def release_due(connection: db.Connection, limit: int) -> list[str]:
    """Return tenants that are being disconnected and whose release is not confirmed yet."""
    found = await connection.fetch(_RELEASE_DUE, limit)
    return [record["tenant_id"] for record in found]


async def mark_released(connection: db.Connection, tenant_id: str) -> None:
    """Note that a tenant's release is confirmed. Safe to call again."""
    await connection.execute(_MARK_RELEASED, tenant_id)


async def _apply(connection: db.Connection, change: TenantChange) -> AppliedChange:
    tenant = change.tenant
    await mailboxes.ensure(connection, tenant.tenant_id)
    mailbox = await mailboxes.lock(connection, tenant.tenant_id)
    before = await connection.fetchrow(_BEFORE, tenant.tenant_id)
    await connection.execute(_UPSERT, *_columns(tenant))
    is_waiting = tenant.status not in _PROCESSED
    await connection.execute(_SET_WAITING, tenant.tenant_id, is_waiting)
    has_gap = before is not None and _is_gap(before["status"], before["address"], change)
    if has_gap:
        await enqueue(connection, tenant.tenant_id, ReconcileRequest(ReconcileReason.RECONCILE_REASON_RECONNECTED))
    if before is not None and (has_gap or before["status"] != tenant.status):
        # The mailbox is reconciled once more when its pushes resume: changes until then would be missed otherwise.
        reason = ReconcileReason.RECONCILE_REASON_RECONNECTED if has_gap else None
        await subscriptions.tenant_changed(connection, tenant.tenant_id, reason)
    return AppliedChange(tenant.tenant_id, is_due=mailbox.is_waiting and not is_waiting)


def _columns(tenant: Tenant) -> tuple[object, ...]:
    return (
        tenant.tenant_id,
        tenant.provider,
        tenant.external_tenant_id,
        tenant.user_id,
        tenant.address.lower(),
        tenant.status,
        list(tenant.granted_scopes),
        tenant.status == TenantStatus.TENANT_STATUS_DISCONNECTING,
    )


def _is_gap(status_before: int, address_before: str, change: TenantChange) -> bool:
    """Return whether changes may have been missed: the tenant was not processed, or pushes named another address."""
    if change.tenant.status not in KEPT_STATUSES:
        return False
    has_returned = status_before not in _PROCESSED and change.tenant.status in _PROCESSED
    has_moved = _has_moved(change.tenant, address_before)
    return has_returned or change.is_reconnected or has_moved


def _has_moved(tenant: Tenant, address_before: str) -> bool:
    return tenant.provider == GOOGLEWS and tenant.address.lower() != address_before
