"""One row a tenant: whose turn it is, who holds it, what he was given. Every change of a lease happens under its lock.

Locks of a row, and what they are for:
    FOR KEY SHARE       the writer of the inbox, until its items are committed
    FOR NO KEY UPDATE   whoever claims, settles or extends; does not wait for the writer nor hinder it
    FOR UPDATE          whoever is about to say that nothing is due: waits for writers under way, then looks again
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.ingest.errors import MailboxHeld, TenantNotFound
from services.ingest.store.attempt_history import LEASE_EXPIRED, appended
from services.ingest.store.connections import Connection

_LOCK = """
SELECT fence, out_item_ids::text[] AS out_item_ids, leased_at, lease_until, holder, is_waiting, now() AS now
FROM ingest.mailboxes WHERE tenant_id = $1 FOR NO KEY UPDATE
"""
_IS_READY = "EXISTS (SELECT FROM ingest.items WHERE tenant_id = $1 AND due_at IS NULL)"
_ENDED = "lease_until = NULL, holder = '', leased_at = NULL, out_item_ids = '{}'"
_END_FOR_NOW = f"UPDATE ingest.mailboxes SET {_ENDED}, next_due_at = now() WHERE tenant_id = $1"  # noqa: S608
_END_WITH_MORE = f"{_END_FOR_NOW} AND {_IS_READY} RETURNING 1"
_LOCK_TO_EMPTY = "SELECT 1 FROM ingest.mailboxes WHERE tenant_id = $1 FOR UPDATE"
_END = f"""
UPDATE ingest.mailboxes SET {_ENDED}, next_due_at = CASE WHEN {_IS_READY} THEN now() ELSE (
    SELECT min(due_at) FROM ingest.items WHERE tenant_id = $1 AND due_at IS NOT NULL
) END
WHERE tenant_id = $1
RETURNING next_due_at IS NOT NULL AND next_due_at <= now()
"""  # noqa: S608 - constants of this module
_KEEP = "UPDATE ingest.mailboxes SET out_item_ids = $2::uuid[] WHERE tenant_id = $1"
_LEASE = """
UPDATE ingest.mailboxes SET fence = fence + 1, holder = $2, leased_at = now(), lease_until = $3, next_due_at = $3,
    out_item_ids = $4::uuid[]
WHERE tenant_id = $1
"""
_EXTEND = """
UPDATE ingest.mailboxes SET lease_until = now() + $2, next_due_at = now() + $2 WHERE tenant_id = $1
RETURNING lease_until
"""
_COUNT_ATTEMPT = f"""
UPDATE ingest.items SET attempts = attempts + 1, expiries = expiries + $3,
    history = {appended("history", "$4::timestamptz", "$5::text", "$6::text", "''")}
WHERE tenant_id = $1 AND item_id = ANY($2::uuid[])
"""  # noqa: S608 - constants of this package

NOT_SETTLED = ""


@dataclass(frozen=True, slots=True)
class LockedMailbox:
    """A locked row of a mailbox.

    Args:
        tenant_id: Whose.
        fence: Of the lease that is or was last.
        out_item_ids: What its holder was given and has not settled.
        leased_at: When it was claimed; None when nobody holds it.
        holder: Who holds it.
        is_waiting: Whether the tenant's state makes items wait.
    """

    tenant_id: str
    fence: int
    out_item_ids: frozenset[str]
    leased_at: datetime | None
    holder: str
    is_waiting: bool


async def ensure(connection: Connection, tenant_id: str) -> None:
    """Makes the tenant's row where there is none yet. Safe to call again."""
    await connection.execute("INSERT INTO ingest.mailboxes (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING", tenant_id)


async def lock(connection: Connection, tenant_id: str) -> LockedMailbox:
    """Locks a mailbox for a change of its lease.

    Raises:
        TenantNotFound: There is no such tenant.
    """
    row = await connection.fetchrow(_LOCK, tenant_id)
    if row is None:
        raise TenantNotFound.of(tenant_id)
    return LockedMailbox(
        tenant_id, row["fence"], frozenset(row["out_item_ids"]), row["leased_at"], row["holder"], row["is_waiting"]
    )


async def lock_leased(connection: Connection, tenant_id: str, fence: int) -> LockedMailbox:
    """Locks a mailbox for its holder. One whose lease ran out without another taking it is its holder still.

    Raises:
        TenantNotFound: There is no such tenant.
        MailboxHeld: The fence is stale.
    """
    hold = await lock(connection, tenant_id)
    if hold.fence != fence:
        raise MailboxHeld.of(tenant_id, fence, hold.fence)
    return hold


async def lease(
    connection: Connection, tenant_id: str, worker_id: str, until: datetime, item_ids: Sequence[str]
) -> None:
    """Gives a locked mailbox to a worker under the next fence."""
    await connection.execute(_LEASE, tenant_id, worker_id, until, item_ids)


async def extend(connection: Connection, hold: LockedMailbox, seconds: float) -> datetime:
    """Makes the lease of a locked mailbox last some seconds from now.

    Raises:
        MailboxHeld: It has ended.
    """
    if hold.leased_at is None:
        raise MailboxHeld.of(hold.tenant_id, hold.fence, hold.fence)
    until: datetime = await connection.fetchval(_EXTEND, hold.tenant_id, timedelta(seconds=seconds))
    return until


async def keep(connection: Connection, tenant_id: str, item_ids: Collection[str]) -> None:
    """Notes what the holder of a locked mailbox still has."""
    await connection.execute(_KEEP, tenant_id, list(item_ids))


async def end(connection: Connection, hold: LockedMailbox, returned: Collection[str] = ()) -> bool:
    """Ends the lease of a locked mailbox.

    Args:
        connection: In a transaction.
        hold: The locked mailbox.
        returned: Items that were given out and not settled: their attempt counts.

    Returns:
        Whether something of the mailbox is due at once.
    """
    if returned and hold.leased_at is not None:
        await count_attempts(connection, hold, returned, is_expired=False)
    if await connection.fetchval(_END_WITH_MORE, hold.tenant_id):
        return True
    await connection.execute(_LOCK_TO_EMPTY, hold.tenant_id)
    return bool(await connection.fetchval(_END, hold.tenant_id))


async def end_unless_written(connection: Connection, hold: LockedMailbox) -> None:
    """Ends what is left of a lease of a locked mailbox that has nothing due, without waiting for anyone.

    While the writer is just adding to the mailbox it stays due, and is looked at again.
    """
    if await connection.fetchval(f"{_LOCK_TO_EMPTY} SKIP LOCKED", hold.tenant_id):
        await connection.execute(_END, hold.tenant_id)
    else:
        await connection.execute(_END_FOR_NOW, hold.tenant_id)


async def count_attempts(
    connection: Connection, hold: LockedMailbox, item_ids: Collection[str], *, is_expired: bool
) -> None:
    """Counts an attempt of which nothing was heard."""
    reason = LEASE_EXPIRED if is_expired else NOT_SETTLED
    await connection.execute(
        _COUNT_ATTEMPT, hold.tenant_id, list(item_ids), int(is_expired), hold.leased_at, hold.holder, reason
    )
