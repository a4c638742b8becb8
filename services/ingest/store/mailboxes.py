"""One row for each tenant: when it is due, its lease, and the items under the lease.

Every change of a lease happens under the row's lock:
    FOR KEY SHARE       taken by the writer of the inbox until its items are committed
    FOR NO KEY UPDATE   taken to claim, settle or extend; neither waits for the writer nor blocks it
    FOR UPDATE          taken before a mailbox is declared empty: waits for running writers, then checks again
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from services.ingest.errors import MailboxHeld, TenantNotFound
from services.ingest.store.attempt_history import LEASE_EXPIRED, appended
from services.meshkit import db

_LOCK = """
SELECT fence, out_item_ids::text[] AS out_item_ids, leased_at, lease_until, holder, is_waiting, now() AS now
FROM ingest.mailboxes WHERE tenant_id = $1 FOR NO KEY UPDATE
"""
_INSERT = "INSERT INTO ingest.mailboxes (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING"
_END_FOR_NOW = """
UPDATE ingest.mailboxes SET lease_until = NULL, holder = '', leased_at = NULL, out_item_ids = '{}', next_due_at = now()
WHERE tenant_id = $1
"""
_LOCK_EXPIRED = """
SELECT fence, out_item_ids::text[] AS out_item_ids, leased_at, holder, is_waiting FROM ingest.mailboxes
WHERE tenant_id = $1 AND out_item_ids <> '{}' AND (lease_until IS NULL OR lease_until <= now())
FOR NO KEY UPDATE SKIP LOCKED
"""
_END = "SELECT ingest.end_lease($1)"
_KEEP = "UPDATE ingest.mailboxes SET out_item_ids = $2::uuid[] WHERE tenant_id = $1"
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
    """The row of a mailbox, locked until the transaction ends.

    Args:
        tenant_id: The mailbox's tenant.
        fence: The fence of the current lease, or of the last one.
        out_item_ids: Items under the lease that are not settled yet.
        leased_at: When the lease began; None when the mailbox is not leased.
        holder: The worker that holds the lease.
        is_waiting: Whether the tenant's state makes items wait.
    """

    tenant_id: str
    fence: int
    out_item_ids: frozenset[str]
    leased_at: datetime | None
    holder: str
    is_waiting: bool


async def ensure(connection: db.Connection, tenant_id: str) -> None:
    """Insert the tenant's row if it is missing. Safe to call again."""
    await connection.execute(_INSERT, tenant_id)


async def lock(connection: db.Connection, tenant_id: str) -> LockedMailbox:
    """Lock a mailbox for a change of its lease.

    Raises:
        TenantNotFound: There is no such tenant.
    """
    row = await connection.fetchrow(_LOCK, tenant_id)
    if row is None:
        raise TenantNotFound.of(tenant_id)
    return _locked(tenant_id, row)


async def lock_expired(connection: db.Connection, tenant_id: str) -> LockedMailbox | None:
    """Lock a mailbox whose lease expired over items; None when another claim has taken it."""
    row = await connection.fetchrow(_LOCK_EXPIRED, tenant_id)
    return None if row is None else _locked(tenant_id, row)


async def lock_leased(connection: db.Connection, tenant_id: str, fence: int) -> LockedMailbox:
    """Lock a mailbox for the holder of its lease. An expired lease that no other worker took over still counts.

    Raises:
        TenantNotFound: There is no such tenant.
        MailboxHeld: The fence is stale.
    """
    mailbox = await lock(connection, tenant_id)
    if mailbox.fence != fence:
        raise MailboxHeld.of(tenant_id, fence, mailbox.fence)
    return mailbox


async def extend(connection: db.Connection, mailbox: LockedMailbox, seconds: float) -> datetime:
    """Extend the lease of a locked mailbox to a number of seconds from now.

    Raises:
        MailboxHeld: The lease has ended.
    """
    if mailbox.leased_at is None:
        raise MailboxHeld.of(mailbox.tenant_id, mailbox.fence, mailbox.fence)
    until: datetime = await connection.fetchval(_EXTEND, mailbox.tenant_id, timedelta(seconds=seconds))
    return until


async def keep(connection: db.Connection, tenant_id: str, item_ids: Collection[str]) -> None:
    """Store the items that remain under the lease of a locked mailbox."""
    await connection.execute(_KEEP, tenant_id, list(item_ids))


async def end(connection: db.Connection, mailbox: LockedMailbox, returned: Collection[str] = ()) -> bool:
    """End the lease of a locked mailbox.

    Args:
        connection: In a transaction.
        mailbox: The locked mailbox.
        returned: Items under the lease that were not settled: their attempt counts.

    Returns:
        Whether the mailbox has an item that is due at once.
    """
    if returned and mailbox.leased_at is not None:
        await count_attempts(connection, mailbox, returned, is_expired=False)
    return bool(await connection.fetchval(_END, mailbox.tenant_id))


async def end_for_now(connection: db.Connection, tenant_id: str) -> None:
    """End the lease of a locked mailbox that is due in any case."""
    await connection.execute(_END_FOR_NOW, tenant_id)


async def count_attempts(
    connection: db.Connection, mailbox: LockedMailbox, item_ids: Collection[str], *, is_expired: bool
) -> None:
    """Count an attempt whose result was never reported."""
    reason = LEASE_EXPIRED if is_expired else NOT_SETTLED
    await connection.execute(
        _COUNT_ATTEMPT, mailbox.tenant_id, list(item_ids), int(is_expired), mailbox.leased_at, mailbox.holder, reason
    )


def _locked(tenant_id: str, row: asyncpg.Record) -> LockedMailbox:
    return LockedMailbox(
        tenant_id, row["fence"], frozenset(row["out_item_ids"]), row["leased_at"], row["holder"], row["is_waiting"]
    )
