"""Settlement of leases: items are acknowledged, released or buried, and leases are extended."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.ingest.errors import MailboxHeld, TenantNotFound
from services.ingest.metrics import SETTLED
from services.ingest.store import dead_letter_writer, mailboxes
from services.ingest.store.attempt_history import appended
from services.ingest.store.dead_letter_writer import Burial, LastAttempt
from services.meshkit import db
from services.meshkit.errors import FieldInvalid

_ACK = "SELECT * FROM ingest.ack_items($1, $2, $3, $4)"
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


@dataclass(frozen=True, slots=True)
class ItemRelease:
    """An item that its worker releases.

    Args:
        item_id: Id of the item.
        not_before: When it is due again; None means at once.
        reason: A name from the error catalogue; may be empty.
        detail: A sentence for people; may be empty.
        is_forgiven: The attempt is not counted.
    """

    item_id: str
    not_before: datetime | None
    reason: str
    detail: str
    is_forgiven: bool


async def extend(pool: db.Pool, tenant_id: str, fence: int, seconds: float) -> datetime:
    """Extend a lease to a number of seconds from now. Safe to call again.

    Returns:
        When the lease expires.

    Raises:
        TenantNotFound: There is no such tenant.
        MailboxHeld: The fence is stale, or the lease has ended.
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.transaction(pool) as connection:
        mailbox = await mailboxes.lock_leased(connection, tenant_id, fence)
        return await mailboxes.extend(connection, mailbox, seconds)


async def ack(pool: db.Pool, tenant_id: str, fence: int, item_ids: Collection[str], *, is_kept: bool) -> bool:
    """Remove items whose effects are committed from the inbox. Safe to call again.

    Args:
        pool: Connections to PostgreSQL.
        tenant_id: The mailbox's tenant.
        fence: The fence of the lease.
        item_ids: The processed items; those that are not under the lease are ignored.
        is_kept: The lease continues; otherwise it ends, and its unsettled items are due again.

    Returns:
        Whether the mailbox is free and has an item that is due at once.

    Raises:
        TenantNotFound: There is no such tenant.
        MailboxHeld: The fence is stale.
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.connection(pool) as connection:
        row = await connection.fetchrow(_ACK, tenant_id, fence, list(item_ids), is_kept)
    if row is None:
        raise TenantNotFound.of(tenant_id)
    if row["held_fence"] != fence:
        raise MailboxHeld.of(tenant_id, fence, row["held_fence"])
    SETTLED.labels("done").inc(row["done"])
    if not is_kept and row["unsettled"]:
        return await _end_unsettled(pool, tenant_id, fence)
    return bool(row["is_due"])


async def release(pool: db.Pool, tenant_id: str, fence: int, items: Sequence[ItemRelease]) -> bool:
    """Release items for a later attempt. The last settled item ends the lease. Safe to call again.

    Returns:
        Whether the mailbox is free and has an item that is due at once.

    Raises:
        TenantNotFound: There is no such tenant.
        MailboxHeld: The fence is stale.
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.transaction(pool) as connection:
        mailbox = await mailboxes.lock_leased(connection, tenant_id, fence)
        back = [item for item in items if item.item_id in mailbox.out_item_ids]
        if not back:
            return False
        await _release(connection, mailbox, back)
        return await _settle(connection, mailbox, {item.item_id for item in back})


async def bury(pool: db.Pool, tenant_id: str, fence: int, burials: Sequence[Burial]) -> tuple[list[str], bool]:
    """Turn items into dead letters. The last settled item ends the lease. Safe to call again.

    Returns:
        The dead letters' ids in the order of the items, and whether the mailbox is free and has an item that is due at
        once.

    Raises:
        TenantNotFound: There is no such tenant.
        MailboxHeld: The fence is stale.
        FieldInvalid: An item is neither under the lease nor buried already.
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.transaction(pool) as connection:
        mailbox = await mailboxes.lock_leased(connection, tenant_id, fence)
        leased = [burial for burial in burials if burial.item_id in mailbox.out_item_ids]
        before = await connection.fetch(_BURIED_BEFORE, tenant_id, [burial.item_id for burial in burials])
        ids = {row["item_id"]: row["dead_letter_id"] for row in before}
        if leased:
            attempt = LastAttempt(mailbox.leased_at, mailbox.holder)
            ids |= await dead_letter_writer.bury(connection, tenant_id, leased, attempt)
        for index, burial in enumerate(burials):
            if burial.item_id not in ids:
                raise FieldInvalid.of(f"items[{index}].item_id", "is not held under this lease")
        is_due = bool(leased) and await _settle(connection, mailbox, {burial.item_id for burial in leased})
        return [ids[burial.item_id] for burial in burials], is_due


async def _end_unsettled(pool: db.Pool, tenant_id: str, fence: int) -> bool:
    """End a lease that still has items: their attempts count."""
    async with db.transaction(pool) as connection:
        mailbox = await mailboxes.lock_leased(connection, tenant_id, fence)
        return await mailboxes.end(connection, mailbox, mailbox.out_item_ids)


async def _release(connection: db.Connection, mailbox: mailboxes.LockedMailbox, items: Sequence[ItemRelease]) -> None:
    await connection.execute(
        _RELEASE,
        mailbox.tenant_id,
        [item.item_id for item in items],
        [item.not_before for item in items],
        [item.reason for item in items],
        [item.detail for item in items],
        [item.is_forgiven for item in items],
        mailbox.leased_at,
        mailbox.holder,
    )
    SETTLED.labels("released").inc(len(items))


async def _settle(connection: db.Connection, mailbox: mailboxes.LockedMailbox, settled: Collection[str]) -> bool:
    rest = mailbox.out_item_ids.difference(settled)
    if rest:
        await mailboxes.keep(connection, mailbox.tenant_id, rest)
        return False
    return await mailboxes.end(connection, mailbox)
