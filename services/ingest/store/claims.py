"""Claims: due mailboxes are leased to a worker, each with a share of its due items, under the next fence.

A claim writes nothing to the items themselves. The mailbox's row stores which items are under the lease, and an attempt
is written when it ends: by its settlement, or by the next claim, which finds the lease expired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from mailmesh.ingest.v1.inbox_item_pb2 import Watch
from mailmesh.ingest.v1.inbox_service_pb2 import TenantLease
from mailmesh.ingest.v1.subscription_service_pb2 import DeliveryMode, SubscriptionState
from services.ingest.metrics import CLAIMED
from services.ingest.store import mailboxes
from services.ingest.store.dead_letter_writer import Burial, bury
from services.ingest.store.item_messages import item_of
from services.ingest.store.mailboxes import LockedMailbox
from services.meshkit import db

ALONE_AFTER_EXPIRIES: Final = 2

_LOCK_DUE = """
SELECT tenant_id::text, fence, out_item_ids::text[] AS out_item_ids, leased_at, holder, is_waiting, now() AS now
FROM ingest.mailboxes
WHERE next_due_at <= now() AND NOT is_waiting AND (lease_until IS NULL OR lease_until <= now())
ORDER BY next_due_at
LIMIT $1
FOR NO KEY UPDATE SKIP LOCKED
"""
_LOCK_ONE = """
SELECT tenant_id::text, fence, out_item_ids::text[] AS out_item_ids, leased_at, holder, is_waiting, now() AS now
FROM ingest.mailboxes
WHERE tenant_id = $1 AND NOT is_waiting AND (lease_until IS NULL OR lease_until <= now())
    AND ($2 OR next_due_at <= now())
FOR NO KEY UPDATE SKIP LOCKED
"""
_COLUMNS = "tenant_id, item_id, kind, received_at, content, correlation_id, traceparent, attempts, expiries"
_OLDEST = f"""
SELECT item.*, tenant.provider, tenant.external_tenant_id, tenant.user_id
FROM unnest($1::uuid[]) AS turn (tenant_id)
JOIN ingest.tenants AS tenant USING (tenant_id)
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM (
        (SELECT {_COLUMNS} FROM ingest.items
            WHERE tenant_id = turn.tenant_id AND due_at IS NULL ORDER BY item_id LIMIT $2)
        UNION ALL
        (SELECT {_COLUMNS} FROM ingest.items
            WHERE tenant_id = turn.tenant_id AND due_at <= now() ORDER BY due_at LIMIT $2)
    ) AS due
    ORDER BY item_id LIMIT $2
) AS item
ORDER BY item.tenant_id, item.item_id
"""  # noqa: S608 - constants of this module
_WATCHES = """
SELECT tenant_id::text, subscription_id::text, folder_id, label_ids, change_types, covered_from, delivery_mode
FROM ingest.subscriptions WHERE tenant_id = ANY($1::uuid[]) AND state <> ALL($2::smallint[])
ORDER BY created_at, subscription_id
"""
_ENDED_STATES = (SubscriptionState.SUBSCRIPTION_STATE_DELETING, SubscriptionState.SUBSCRIPTION_STATE_DELETED)
_DEAD = """
SELECT item_id::text FROM ingest.items WHERE tenant_id = $1 AND item_id = ANY($2::uuid[]) AND expiries >= $3
"""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A worker's request for items.

    Args:
        worker_id: The worker.
        max_items: The most items over all tenants.
        max_tenants: The most tenants leased at once.
        lease_seconds: Duration of the leases.
        tenant_id: Restricts the claim to one tenant; empty means any.
        includes_idle: Lease that tenant even if it has nothing due.
    """

    worker_id: str
    max_items: int
    max_tenants: int
    lease_seconds: float
    tenant_id: str = ""
    includes_idle: bool = False


async def claim(pool: db.Pool, wanted: ClaimRequest, lease_deaths: int) -> list[TenantLease]:
    """Lease mailboxes with due items, the longest due first.

    Args:
        pool: Connections to PostgreSQL.
        wanted: The worker's request.
        lease_deaths: Leases that may expire over an item before it is buried.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow; leases that were given nevertheless expire by themselves.
    """
    async with db.transaction(pool) as connection:
        locked, now = await _lock_due(connection, wanted)
        if not locked:
            return []
        for mailbox in locked.values():
            if mailbox.out_item_ids:
                await _count_expiry(connection, mailbox, lease_deaths)
        return await _give_out(connection, wanted, locked, now)


async def _count_expiry(connection: db.Connection, mailbox: LockedMailbox, lease_deaths: int) -> None:
    """Count the attempts of an expired lease, and bury the items over which too many leases have expired."""
    await mailboxes.count_attempts(connection, mailbox, mailbox.out_item_ids, is_expired=True)
    dead = await connection.fetch(_DEAD, mailbox.tenant_id, list(mailbox.out_item_ids), lease_deaths)
    if dead:
        detail = "The worker did not report back in any of the leases that held this item."
        burials = [Burial(row["item_id"], "ITEM_POISONED", detail) for row in dead]
        await bury(connection, mailbox.tenant_id, burials, attempt=None)


async def _lock_due(
    connection: db.Connection, wanted: ClaimRequest
) -> tuple[dict[str, LockedMailbox], datetime | None]:
    if wanted.tenant_id:
        rows = await connection.fetch(_LOCK_ONE, wanted.tenant_id, wanted.includes_idle)
    else:
        rows = await connection.fetch(_LOCK_DUE, min(wanted.max_tenants, wanted.max_items))
    locked = {
        row["tenant_id"]: LockedMailbox(
            row["tenant_id"],
            row["fence"],
            frozenset(row["out_item_ids"]),
            row["leased_at"],
            row["holder"],
            row["is_waiting"],
        )
        for row in rows
    }
    return locked, rows[0]["now"] if rows else None


async def _give_out(
    connection: db.Connection, wanted: ClaimRequest, locked: Mapping[str, LockedMailbox], now: datetime | None
) -> list[TenantLease]:
    assert now is not None  # noqa: S101 - there are locked mailboxes
    share = max(1, wanted.max_items // len(locked))
    due = await _due_items(connection, list(locked), share + 1)
    until = now + timedelta(seconds=wanted.lease_seconds)
    leases = []
    for tenant_id, mailbox in locked.items():
        rows = due.get(tenant_id, [])
        if not rows and not wanted.includes_idle:
            await mailboxes.end_unless_written(connection, mailbox)
            continue
        given = _together(rows[:share])
        await mailboxes.lease(connection, tenant_id, wanted.worker_id, until, [str(row["item_id"]) for row in given])
        leases.append(_lease(mailbox, given, until, has_more=len(given) < len(rows)))
    await _add_watches(connection, leases)
    CLAIMED.inc(sum(len(lease.items) for lease in leases))
    return leases


async def _due_items(
    connection: db.Connection, tenant_ids: Sequence[str], limit: int
) -> dict[str, list[asyncpg.Record]]:
    found: dict[str, list[asyncpg.Record]] = {}
    for row in await connection.fetch(_OLDEST, tenant_ids, limit):
        found.setdefault(str(row["tenant_id"]), []).append(row)
    return found


def _together(rows: Sequence[asyncpg.Record]) -> Sequence[asyncpg.Record]:
    """Return the rows that may share a lease. An item whose lease expired twice goes alone, to be identified."""
    for index, row in enumerate(rows):
        if row["expiries"] >= ALONE_AFTER_EXPIRIES:
            return rows[: max(index, 1)]
    return rows


def _lease(mailbox: LockedMailbox, rows: Sequence[asyncpg.Record], until: datetime, *, has_more: bool) -> TenantLease:
    lease = TenantLease(tenant_id=mailbox.tenant_id, fence=mailbox.fence + 1, has_more=has_more)
    lease.lease_expires_at.FromDatetime(until)
    lease.items.extend(item_of(row, row["attempts"] + 1) for row in rows)
    return lease


async def _add_watches(connection: db.Connection, leases: Sequence[TenantLease]) -> None:
    by_tenant = {lease.tenant_id: lease for lease in leases}
    for row in await connection.fetch(_WATCHES, list(by_tenant), _ENDED_STATES):
        watch = Watch(
            subscription_id=row["subscription_id"],
            folder_id=row["folder_id"],
            label_ids=row["label_ids"],
            change_types=row["change_types"],
            is_polled=row["delivery_mode"] == DeliveryMode.DELIVERY_MODE_POLL,
        )
        watch.covered_from.FromDatetime(row["covered_from"])
        by_tenant[row["tenant_id"]].watches.append(watch)
