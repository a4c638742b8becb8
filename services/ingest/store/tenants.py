"""What is followed of the tenants, and what each state does to their items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from mailmesh.vault.v1.tenant_pb2 import Tenant, TenantStatus
from mailmesh.vault.v1.token_vault_service_pb2 import TenantChange
from services.ingest.store import cursors, mailboxes, subscriptions
from services.ingest.store.connections import Connection, Pool, reading, transaction
from services.ingest.store.matching import KEPT_STATUSES
from services.ingest.store.reconciles import ReconcileRequest, enqueue

CURSOR: Final = "tenant_changes"
_WORKED: Final = frozenset({TenantStatus.TENANT_STATUS_ACTIVE, TenantStatus.TENANT_STATUS_TOKEN_EXPIRED})
_ENDING: Final = frozenset({TenantStatus.TENANT_STATUS_DISCONNECTING, TenantStatus.TENANT_STATUS_DISCONNECTED})

_BEFORE = "SELECT status, address FROM ingest.tenants WHERE tenant_id = $1 FOR UPDATE"
_INSERT = """
INSERT INTO ingest.tenants
    (tenant_id, provider, external_tenant_id, user_id, address, status, granted_scopes, is_release_due)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_FOLLOW_FIRST = f"{_INSERT} ON CONFLICT (tenant_id) DO NOTHING"
_FOLLOW = f"""{_INSERT}
ON CONFLICT (tenant_id) DO UPDATE SET provider = excluded.provider, external_tenant_id = excluded.external_tenant_id,
    user_id = excluded.user_id, address = excluded.address, status = excluded.status,
    granted_scopes = excluded.granted_scopes, is_release_due = excluded.is_release_due, updated_at = now()
"""
_MAILBOX = "INSERT INTO ingest.mailboxes (tenant_id) VALUES ($1) ON CONFLICT (tenant_id) DO NOTHING"
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
class FollowedChange:
    """What a change of a tenant meant here.

    Args:
        tenant_id: Whose.
        is_due: Something of its mailbox is due now.
    """

    tenant_id: str
    is_due: bool


class TenantStore:
    """Keeps our copy of the tenants.

    Args:
        pool: Bounded connections.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def cursor(self) -> str:
        """Where following goes on; empty at the beginning.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with reading(self._pool) as connection:
            return await cursors.read(connection, CURSOR) or ""

    async def follow(
        self, changes: Sequence[TenantChange], cursor: str, next_cursor: str
    ) -> Sequence[FollowedChange] | None:
        """Applies changes and moves the cursor, both or neither.

        Args:
            changes: In the order in which they were committed.
            cursor: Where they begin.
            next_cursor: Where they end.

        Returns:
            What they meant; None when another process was faster and nothing was done.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with transaction(self._pool) as connection:
            if (await cursors.locked(connection, CURSOR) or "") != cursor:
                return None
            followed = [await _apply(connection, change) for change in changes]
            await cursors.move(connection, CURSOR, next_cursor)
            return followed

    async def discard(self, limit: int) -> int:
        """Takes items of disconnected tenants out of the inbox.

        Args:
            limit: How many at most.

        Returns:
            How many.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with transaction(self._pool) as connection:
            return int(await connection.fetchval(_DISCARD, list(_ENDING), limit))


async def ensure(connection: Connection, tenant: Tenant) -> None:
    """Stores a tenant that is not followed yet. Safe to call again: what is followed is left as it is."""
    # In the order in which following writes them, or the two wait for each other.
    await connection.execute(_MAILBOX, tenant.tenant_id)
    await connection.execute(_FOLLOW_FIRST, *_columns(tenant))


async def release_due(connection: Connection, limit: int) -> list[str]:
    """The tenants that are being disconnected and whose release is not confirmed yet."""
    found = await connection.fetch(
        "SELECT tenant_id::text FROM ingest.tenants WHERE is_release_due ORDER BY tenant_id LIMIT $1", limit
    )
    return [record["tenant_id"] for record in found]


async def released(connection: Connection, tenant_id: str) -> None:
    """Notes that a tenant's release is confirmed. Safe to call again."""
    await connection.execute("UPDATE ingest.tenants SET is_release_due = false WHERE tenant_id = $1", tenant_id)


async def _apply(connection: Connection, change: TenantChange) -> FollowedChange:
    tenant = change.tenant
    await connection.execute(_MAILBOX, tenant.tenant_id)
    hold = await mailboxes.lock(connection, tenant.tenant_id)
    before = await connection.fetchrow(_BEFORE, tenant.tenant_id)
    await connection.execute(_FOLLOW, *_columns(tenant))
    is_waiting = tenant.status not in _WORKED
    await connection.execute(_SET_WAITING, tenant.tenant_id, is_waiting)
    has_gap = before is not None and _is_gap(before["status"], before["address"], change)
    if has_gap:
        await enqueue(connection, tenant.tenant_id, ReconcileRequest(ReconcileReason.RECONCILE_REASON_RECONNECTED))
    if before is not None and (has_gap or before["status"] != tenant.status):
        # Compared once more when they push again: what happens until then would be missed otherwise.
        reason = ReconcileReason.RECONCILE_REASON_RECONNECTED if has_gap else None
        await subscriptions.tenant_changed(connection, tenant.tenant_id, reason)
    return FollowedChange(tenant.tenant_id, is_due=hold.is_waiting and not is_waiting)


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
    """Says whether something may have been missed: the tenant was not worked, or its pushes went by another address."""
    if change.tenant.status not in KEPT_STATUSES:
        return False
    has_returned = status_before not in _WORKED and change.tenant.status in _WORKED
    has_moved = _has_moved(change.tenant, address_before)
    return has_returned or change.is_reconnected or has_moved


def _has_moved(tenant: Tenant, address_before: str) -> bool:
    return tenant.provider == "googlews" and tenant.address.lower() != address_before
