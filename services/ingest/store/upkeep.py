"""Retention of the inbox: partitions created ahead and dropped behind, and deletion of old keys and leftovers.

Only processed items are stored in partitions. Pending, leased and dead items are in tables of their own, so that no
retention can reach them.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from services.meshkit import db

DAYS_AHEAD: Final = 7
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('ingest.partitions', 0))"
_PARTITIONS = """
SELECT child.relname FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'ingest.worked_items'::regclass AND child.relname ~ '^worked_items_[0-9]{8}$'
"""
_KEY_BLOCKS = "SELECT pg_relation_size('ingest.item_keys') / current_setting('block_size')::bigint"
# By place, not by time: an index on the time would have to be maintained for every notification.
_EXPIRE_KEYS = """
DELETE FROM ingest.item_keys
WHERE ctid >= ($1::text)::tid AND ctid < ($2::text)::tid AND seen_at < now() - $3::interval
"""
_OLD_DEAD_LETTERS = """
DELETE FROM ingest.dead_letters WHERE dead_letter_id IN (
    SELECT dead_letter_id FROM ingest.dead_letters WHERE retried_at < now() - $1::interval LIMIT $2
)
"""
_OLD_LIFECYCLE = """
DELETE FROM ingest.lifecycle_notifications WHERE lifecycle_id IN (
    SELECT lifecycle_id FROM ingest.lifecycle_notifications WHERE worked_at < now() - $1::interval LIMIT $2
)
"""
# Of subscriptions that were not there to stop them; Google has ended them by then.
_OLD_CHANNELS = """
DELETE FROM ingest.channels WHERE (tenant_id, channel_id) IN (
    SELECT tenant_id, channel_id FROM ingest.channels WHERE expires_at < now() - interval '1 day' LIMIT $1
)
"""
_OLD_REFUSALS = "DELETE FROM ingest.refusals WHERE minute < now() - interval '7 days'"
_MAKE_STRAYS_DUE = """
UPDATE ingest.mailboxes AS mailbox SET next_due_at = now()
WHERE next_due_at IS NULL AND lease_until IS NULL
    AND EXISTS (SELECT FROM ingest.items WHERE tenant_id = mailbox.tenant_id)
"""


async def make_partitions(pool: db.Pool, today: date) -> int:
    """Create the partitions from today to a week ahead. Safe to call again, by several processes at once.

    Returns:
        The number of partitions that were missing.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
        Conflict: Another transaction held a lock for too long.
    """
    wanted = [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)]
    async with db.transaction(pool) as connection:
        await connection.execute(_LOCK)
        known = {row["relname"] for row in await connection.fetch(_PARTITIONS)}
        missing = [day for day in wanted if _name(day) not in known]
        for day in missing:
            await _make_partition(connection, day)
    return len(missing)


async def drop_partitions(pool: db.Pool, before: date) -> int:
    """Drop the partitions of days before a date. Safe to call again, by several processes at once.

    Returns:
        The number of dropped partitions.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
        Conflict: Another transaction held a lock for too long.
    """
    async with db.transaction(pool) as connection:
        await connection.execute(_LOCK)
        known = {row["relname"] for row in await connection.fetch(_PARTITIONS)}
        old = sorted(name for name in known if name < _name(before))
        for name in old:
            await connection.execute(f"DROP TABLE ingest.{name}")
    return len(old)


async def key_blocks(connection: db.Connection) -> int:
    """Return the size of the table of keys, in blocks."""
    return int(await connection.fetchval(_KEY_BLOCKS))


async def expire_keys(connection: db.Connection, first_block: int, blocks: int, retention: timedelta) -> int:
    """Delete the keys in a range of blocks that are older than any provider's redelivery. Returns their number."""
    first, last = f"({first_block},0)", f"({first_block + blocks},0)"
    return db.affected(await connection.execute(_EXPIRE_KEYS, first, last, retention))


async def drop_leftovers(connection: db.Connection, retention: timedelta, limit: int) -> int:
    """Delete old retried dead letters, processed lifecycle notifications, ended channels and counts of refusals.

    Args:
        connection: A connection to PostgreSQL; each statement is a transaction of its own.
        retention: Rows of the first two kinds are kept this long.
        limit: The most rows of each kind but the last.

    Returns:
        The number of deleted rows.
    """
    removed = db.affected(await connection.execute(_OLD_DEAD_LETTERS, retention, limit))
    removed += db.affected(await connection.execute(_OLD_LIFECYCLE, retention, limit))
    removed += db.affected(await connection.execute(_OLD_CHANNELS, limit))
    return removed + db.affected(await connection.execute(_OLD_REFUSALS))


async def make_strays_due(connection: db.Connection) -> int:
    """Make mailboxes due that have items and are not due. Returns their number, which should always be 0."""
    return db.affected(await connection.execute(_MAKE_STRAYS_DUE))


async def _make_partition(connection: db.Connection, day: date) -> None:
    """Create a partition beside the table, move the day's rows of the default partition into it, and attach it."""
    name, begin = _name(day), datetime(day.year, day.month, day.day, tzinfo=UTC)
    first, last = begin.isoformat(), (begin + timedelta(days=1)).isoformat()
    await connection.execute(f"CREATE TABLE ingest.{name} (LIKE ingest.worked_items INCLUDING DEFAULTS)")
    await connection.execute(
        f"WITH moved AS (DELETE FROM ingest.worked_items_default"  # noqa: S608 - names and times of our own
        f" WHERE worked_at >= '{first}' AND worked_at < '{last}' RETURNING *)"
        f" INSERT INTO ingest.{name} SELECT * FROM moved"
    )
    await connection.execute(
        f"ALTER TABLE ingest.worked_items ATTACH PARTITION ingest.{name} FOR VALUES FROM ('{first}') TO ('{last}')"
    )


def _name(day: date) -> str:
    return f"worked_items_{day:%Y%m%d}"
