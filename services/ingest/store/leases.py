"""Settling what was given out: done, given back, buried, or kept a while longer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailmesh.vault.v1.tenant_pb2 import TenantStatus
from services.ingest.errors import TenantDisconnected
from services.ingest.metrics import SETTLED
from services.ingest.store import mailboxes
from services.ingest.store.attempt_history import appended
from services.ingest.store.connections import Connection, Pool, transaction
from services.ingest.store.dead_letter_writer import Burial, LastAttempt, bury
from services.ingest.store.matching import KEPT_STATUSES
from services.ingest.store.reconciles import EnqueuedReconcile, ReconcileRequest, enqueue
from services.meshkit.errors import FieldInvalid

_ACK = """
WITH done AS (
    DELETE FROM ingest.items WHERE tenant_id = $1 AND item_id = ANY($2::uuid[]) RETURNING *
), kept AS (
    INSERT INTO ingest.worked_items
        (tenant_id, item_id, kind, received_at, worked_at, outcome, attempts, content, correlation_id)
    SELECT tenant_id, item_id, kind, received_at, now(), 'done', attempts + 1, content, correlation_id FROM done
)
SELECT count(*) AS items, max(received_at) FILTER (WHERE kind = 10) AS compared_at FROM done
"""
_CLOSE_GAP = "UPDATE ingest.mailboxes SET gap_since = NULL WHERE tenant_id = $1 AND gap_since <= $2"
_RELEASE = f"""
UPDATE ingest.items AS item SET attempts = attempts + CASE WHEN back.is_forgiven THEN 0 ELSE 1 END,
    due_at = CASE WHEN back.not_before > now() THEN back.not_before END,
    history = {appended("history", "$7::timestamptz", "$8::text", "back.reason", "back.detail")}
FROM unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::boolean[])
    AS back (item_id, not_before, reason, detail, is_forgiven)
WHERE item.tenant_id = $1 AND item.item_id = back.item_id
"""  # noqa: S608 - constants of this package
_BURIED_BEFORE = """
SELECT item_id::text, dead_letter_id::text FROM ingest.dead_letters
WHERE tenant_id = $1 AND item_id = ANY($2::uuid[])
"""
_DISABLED = TenantStatus.TENANT_STATUS_DISABLED
_STATUS = "SELECT status FROM ingest.tenants WHERE tenant_id = $1"


@dataclass(frozen=True, slots=True)
class ItemRelease:
    """An item given back.

    Args:
        item_id: Which.
        not_before: When it is due again; None means at once.
        reason: A name from the catalogue; may be empty.
        detail: A sentence for people; may be empty.
        is_forgiven: The attempt is not counted.
    """

    item_id: str
    not_before: datetime | None
    reason: str
    detail: str
    is_forgiven: bool


class LeaseStore:
    """Settles leases. Every method is refused to a stale fence, and may be called again.

    Args:
        pool: Bounded connections.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def extend(self, tenant_id: str, fence: int, seconds: float) -> datetime:
        """Makes a lease last some seconds from now.

        Returns:
            Until when.

        Raises:
            TenantNotFound: There is no such tenant.
            MailboxHeld: The fence is stale, or the lease was ended.
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with transaction(self._pool) as connection:
            hold = await mailboxes.lock_leased(connection, tenant_id, fence)
            return await mailboxes.extend(connection, hold, seconds)

    async def ack(self, tenant_id: str, fence: int, item_ids: Collection[str], *, is_kept: bool) -> bool:
        """Takes items out of the inbox: their effects are committed.

        Args:
            tenant_id: Whose.
            fence: Of the lease.
            item_ids: Which; those that are not held under the lease are passed over.
            is_kept: The lease goes on; otherwise it ends, and what was not settled is due again.

        Returns:
            Whether something of the mailbox is due at once and nobody holds it.

        Raises:
            TenantNotFound: There is no such tenant.
            MailboxHeld: The fence is stale.
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with transaction(self._pool) as connection:
            hold = await mailboxes.lock_leased(connection, tenant_id, fence)
            done = hold.out_item_ids.intersection(item_ids)
            if done:
                await _ack(connection, tenant_id, done)
            if hold.leased_at is None:
                return False
            rest = hold.out_item_ids - done
            if not is_kept:
                return await mailboxes.end(connection, hold, rest)
            if done:
                await mailboxes.keep(connection, tenant_id, rest)
            return False

    async def release(self, tenant_id: str, fence: int, items: Sequence[ItemRelease]) -> bool:
        """Gives items back. The last one that is settled ends the lease.

        Returns:
            Whether something of the mailbox is due at once and nobody holds it.

        Raises:
            TenantNotFound: There is no such tenant.
            MailboxHeld: The fence is stale.
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with transaction(self._pool) as connection:
            hold = await mailboxes.lock_leased(connection, tenant_id, fence)
            back = [item for item in items if item.item_id in hold.out_item_ids]
            if not back:
                return False
            await _release(connection, hold, back)
            return await _settle(connection, hold, {item.item_id for item in back})

    async def bury(self, tenant_id: str, fence: int, burials: Sequence[Burial]) -> tuple[list[str], bool]:
        """Makes dead letters. The last item that is settled ends the lease.

        Returns:
            The dead letters' ids in the order of the items, and whether something is due at once and nobody holds it.

        Raises:
            TenantNotFound: There is no such tenant.
            MailboxHeld: The fence is stale.
            FieldInvalid: An item is neither held under the lease nor buried already.
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with transaction(self._pool) as connection:
            hold = await mailboxes.lock_leased(connection, tenant_id, fence)
            held = [burial for burial in burials if burial.item_id in hold.out_item_ids]
            before = await connection.fetch(_BURIED_BEFORE, tenant_id, [burial.item_id for burial in burials])
            ids = {row["item_id"]: row["dead_letter_id"] for row in before}
            ids |= await bury(connection, tenant_id, held, LastAttempt(hold.leased_at, hold.holder)) if held else {}
            for index, burial in enumerate(burials):
                if burial.item_id not in ids:
                    raise FieldInvalid.of(f"items[{index}].item_id", "is not held under this lease")
            is_due = bool(held) and await _settle(connection, hold, {burial.item_id for burial in held})
            return [ids[burial.item_id] for burial in burials], is_due

    async def enqueue_reconcile(self, tenant_id: str, wanted: ReconcileRequest) -> EnqueuedReconcile:
        """Puts a comparison of a mailbox into the inbox, unless the same waits already.

        Raises:
            TenantNotFound: There is no such tenant.
            TenantDisconnected: Its items are discarded.
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with transaction(self._pool) as connection:
            await mailboxes.lock(connection, tenant_id)
            status = await connection.fetchval(_STATUS, tenant_id)
            if status not in KEPT_STATUSES and status != _DISABLED:
                raise TenantDisconnected.of(tenant_id)
            return await enqueue(connection, tenant_id, wanted)


async def _ack(connection: Connection, tenant_id: str, item_ids: Collection[str]) -> None:
    row = await connection.fetchrow(_ACK, tenant_id, list(item_ids))
    assert row is not None  # noqa: S101 - an aggregate gives one row
    SETTLED.labels("done").inc(row["items"])
    if row["compared_at"] is not None:
        await connection.execute(_CLOSE_GAP, tenant_id, row["compared_at"])


async def _release(connection: Connection, hold: mailboxes.LockedMailbox, items: Sequence[ItemRelease]) -> None:
    await connection.execute(
        _RELEASE,
        hold.tenant_id,
        [item.item_id for item in items],
        [item.not_before for item in items],
        [item.reason for item in items],
        [item.detail for item in items],
        [item.is_forgiven for item in items],
        hold.leased_at,
        hold.holder,
    )
    SETTLED.labels("released").inc(len(items))


async def _settle(connection: Connection, hold: mailboxes.LockedMailbox, settled: Collection[str]) -> bool:
    rest = hold.out_item_ids.difference(settled)
    if rest:
        await mailboxes.keep(connection, hold.tenant_id, rest)
        return False
    return await mailboxes.end(connection, hold)
