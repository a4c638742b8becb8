"""Bring sends and writes to calendars to a safe state after the database went back to a backup.

A send that was waiting or on its way at the time of the backup may have reached its recipients since. The restored
store cannot know, so a person decides about each of them. A write to a calendar can be looked up by its mark.
"""

from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.calendar.store import writes
from services.processor.outbox.outcome import IN_DOUBT, finish
from services.processor.outbox.rows import State
from services.processor.outbox.store import sends

DETAIL = "the database was restored from a backup, and the mail may have been sent after the backup"


async def settle_sends(pool: db.Pool, clock: Clock) -> int:
    """Make every send without an outcome `uncertain`; one that the provider had accepted is `sent`.

    Run it after the migrations and before a worker runs. Safe to call again: yes; it ends what is left.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.

    Returns:
        The number of sends that became uncertain or sent; sealed ones do so within minutes of the server's start.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    async with db.transaction(pool) as connection:
        # Their keys are in TokenVault, which does not run now.
        settled = await sends.doubt_sealed(connection)
    while await _settle_one(pool, clock):
        settled += 1
    return settled


async def doubt_writes(pool: db.Pool) -> int:
    """Put every write to a calendar without an outcome in doubt: a worker looks it up before it submits it.

    Run it after the migrations and before a worker runs. Safe to call again: yes.

    Args:
        pool: Connections to PostgreSQL.

    Returns:
        The number of writes.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    async with db.transaction(pool) as connection:
        return await writes.doubt_all(connection)


async def _settle_one(pool: db.Pool, clock: Clock) -> bool:
    """Settle one send in a transaction of its own: publishing must be its last step."""
    async with db.transaction(pool) as connection:
        row = await sends.lock_unfinished(connection)
        if row is None:
            return False
        if row.accepted_at is not None:
            return await finish(connection, row, State.SENT, clock.now()) is not None
        done = await finish(connection, row, State.UNCERTAIN, clock.now(), reason=IN_DOUBT, detail=DETAIL)
        return done is not None
