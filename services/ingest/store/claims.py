"""Claims: due mailboxes are leased to a worker, each with a share of its due items, under the next fence.

A claim writes nothing to the items themselves. The mailbox's row stores which items are under the lease, and an attempt
is written when it ends: by its settlement, or by the next claim, which finds the lease expired.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import asyncpg
import orjson
import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import CalendarWatch, Watch
from mailmesh.ingest.v1.inbox_service_pb2 import TenantLease
from mailmesh.ingest.v1.subscription_service_pb2 import DeliveryMode
from services.ingest.metrics import CLAIMED, SETTLED
from services.ingest.store import mailboxes
from services.ingest.store.dead_letter_writer import Burial, bury
from services.ingest.store.item_messages import item_of
from services.ingest.store.mailboxes import LockedMailbox
from services.meshkit import db
from services.meshkit.errors import MeshError

logger = structlog.get_logger(__name__)

ALONE_AFTER_EXPIRIES: Final = 2
_EXPIRED_SECONDS: Final = 1.0
"""For the expired leases of one claim: much less than the deadline of the call, which may be 3 seconds."""

_CLAIM = "SELECT * FROM ingest.claim_mailboxes($1, $2, $3, $4, $5, $6, $7)"
_END_AND_CLAIM = "SELECT * FROM ingest.end_and_claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_DEAD = """
SELECT item_id::text FROM ingest.items WHERE tenant_id = $1 AND item_id = ANY($2::uuid[]) AND expiries >= $3
"""
_ARRAYS = ("item_ids", "kinds", "received", "contents", "correlations", "parents", "attempted")


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


@dataclass(frozen=True, slots=True)
class Ending:
    """A lease that its worker ends.

    Args:
        tenant_id: The mailbox's tenant.
        fence: The fence of the lease.
        item_ids: The processed items.
    """

    tenant_id: str
    fence: int
    item_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of an ending.

    Args:
        is_lost: The fence was stale, or there is no such tenant: nothing was acknowledged.
        has_more_items: Further items are under the lease, which therefore has not ended.
    """

    is_lost: bool
    has_more_items: bool


async def claim(pool: db.Pool, wanted: ClaimRequest, lease_deaths: int) -> list[TenantLease]:
    """Lease mailboxes with due items, the longest due first.

    Args:
        pool: Connections to PostgreSQL.
        wanted: The worker's request.
        lease_deaths: Leases that may expire over an item before it is buried.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow; leases that were given nevertheless expire by themselves.
    """
    async with db.connection(pool) as connection:
        rows = await _claimed(connection, wanted, wanted.tenant_id or None)
    return await _leased(pool, wanted, lease_deaths, rows)


async def end_and_claim(
    pool: db.Pool, wanted: ClaimRequest, lease_deaths: int, endings: Sequence[Ending]
) -> tuple[list[TenantLease], list[Ended]]:
    """End leases, and lease mailboxes as `claim` does, in one commit.

    Args:
        pool: Connections to PostgreSQL.
        wanted: The worker's request.
        lease_deaths: Leases that may expire over an item before it is buried.
        endings: Each of another tenant.

    Returns:
        The new leases, and the outcome of each ending.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow. The outcome is unknown: `leases.ack` repeats an ending, and
            leases that were given expire by themselves.
    """
    async with db.connection(pool) as connection:
        rows = await connection.fetch(
            _END_AND_CLAIM,
            *_arguments(wanted, wanted.tenant_id or None),
            [ending.tenant_id for ending in endings],
            [ending.fence for ending in endings],
            [f"{{{','.join(ending.item_ids)}}}" for ending in endings],
        )
    ended = sorted((row for row in rows if row["place"] is not None), key=lambda row: int(row["place"]))
    SETTLED.labels("done").inc(sum(row["done"] or 0 for row in ended))
    given = await _leased(pool, wanted, lease_deaths, [row for row in rows if row["place"] is None])
    return given, [
        Ended(is_lost=row["held_fence"] != ending.fence, has_more_items=bool(row["unsettled"]))
        for ending, row in zip(endings, ended, strict=True)
    ]


async def _leased(
    pool: db.Pool, wanted: ClaimRequest, lease_deaths: int, rows: list[asyncpg.Record]
) -> list[TenantLease]:
    share = replace(wanted, max_items=max(1, wanted.max_items // max(1, len(rows))))
    rows += await _claimed_again(
        pool, share, [str(row["mailbox_id"]) for row in rows if row["is_expired"]], lease_deaths
    )
    leases = [_lease(row) for row in rows if not row["is_expired"]]
    CLAIMED.inc(sum(len(lease.items) for lease in leases))
    return leases


async def _claimed_again(
    pool: db.Pool, wanted: ClaimRequest, expired: Sequence[str], lease_deaths: int
) -> list[asyncpg.Record]:
    """End expired leases and claim their mailboxes, each in its own transaction and all within a bounded time.

    The other leases of the claim are committed already. A failure here must not keep them from the worker: unknown to
    it, they would expire, and count as deaths of items that no worker has seen. The next claim finds the rest.
    """
    rows: list[asyncpg.Record] = []
    try:
        async with asyncio.timeout(_EXPIRED_SECONDS):
            for tenant_id in expired:
                try:
                    async with db.transaction(pool) as connection:
                        await _end_expired(connection, tenant_id, lease_deaths)
                        claimed = await _claimed(connection, wanted, tenant_id)
                except MeshError as exc:
                    logger.warning("expired lease not ended", tenant_id=tenant_id, reason=exc.reason)
                else:
                    rows += claimed
    except TimeoutError:
        logger.warning("expired leases wait for the next claim", expired=len(expired), claimed=len(rows))
    return rows


async def _claimed(connection: db.Connection, wanted: ClaimRequest, tenant_id: str | None) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await connection.fetch(_CLAIM, *_arguments(wanted, tenant_id))
    return rows


def _arguments(wanted: ClaimRequest, tenant_id: str | None) -> tuple[object, ...]:
    return (
        wanted.worker_id,
        min(wanted.max_tenants, wanted.max_items),
        wanted.max_items,
        timedelta(seconds=wanted.lease_seconds),
        tenant_id,
        wanted.includes_idle,
        ALONE_AFTER_EXPIRIES,
    )


async def _end_expired(connection: db.Connection, tenant_id: str, lease_deaths: int) -> None:
    """End an expired lease over items: its attempts count, and its mailbox is due."""
    mailbox = await mailboxes.lock_expired(connection, tenant_id)
    if mailbox is not None:
        await _count_expiry(connection, mailbox, lease_deaths)
        await mailboxes.end_for_now(connection, tenant_id)


async def _count_expiry(connection: db.Connection, mailbox: LockedMailbox, lease_deaths: int) -> None:
    """Count the attempts of an expired lease, and bury the items over which too many leases have expired."""
    await mailboxes.count_attempts(connection, mailbox, mailbox.out_item_ids, is_expired=True)
    dead = await connection.fetch(_DEAD, mailbox.tenant_id, list(mailbox.out_item_ids), lease_deaths)
    if dead:
        detail = "The worker did not report back in any of the leases that held this item."
        burials = [Burial(row["item_id"], "ITEM_POISONED", detail) for row in dead]
        await bury(connection, mailbox.tenant_id, burials, attempt=None)


def _lease(row: asyncpg.Record) -> TenantLease:
    lease = TenantLease(tenant_id=str(row["mailbox_id"]), fence=row["next_fence"], has_more=row["has_more"])
    lease.lease_expires_at.FromDatetime(row["until"])
    for item_id, kind, received_at, content, correlation, parent, attempts in zip(
        *(row[name] or () for name in _ARRAYS), strict=True
    ):
        item = {
            "tenant_id": row["mailbox_id"],
            "item_id": item_id,
            "kind": kind,
            "received_at": received_at,
            "content": content,
            "correlation_id": correlation,
            "traceparent": parent,
            "provider": row["provider_name"],
            "external_tenant_id": row["directory_id"],
            "user_id": row["user_name"],
        }
        lease.items.append(item_of(item, attempts))
    for watch in orjson.loads(row["watches"]):
        if watch["calendar_id"]:
            calendar = CalendarWatch(calendar_id=watch["calendar_id"], is_pushed=bool(watch["is_pushed"]))
            lease.calendar_watches.append(calendar)
        else:
            lease.watches.append(_watch(watch))
    return lease


def _watch(row: dict[str, Any]) -> Watch:
    watch = Watch(
        subscription_id=row["subscription_id"],
        folder_id=row["folder_id"],
        label_ids=row["label_ids"],
        change_types=row["change_types"],
        is_polled=row["delivery_mode"] == DeliveryMode.DELIVERY_MODE_POLL,
    )
    watch.covered_from.FromMicroseconds(row["covered_from"])
    return watch
