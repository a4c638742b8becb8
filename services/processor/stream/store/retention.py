"""The statements of partitions, one for each day: made ahead of time, dropped when retention is over."""

from datetime import UTC, date, datetime, timedelta

import asyncpg
import structlog

from services.meshkit import db

logger = structlog.get_logger(__name__)

_PREFIX = "events_d"
_MICROSECONDS = 1_000_000
_BATCH = 5000
_EPOCH = date(1970, 1, 1)

# The catalogue refuses the second of two tables of one name that are made at once, by an error of its own.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('processor.partitions', 0))"
# `to_regclass` would answer from what this connection knew before it waited for the lock.
_IS_THERE = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1 AND relnamespace = 'processor'::regnamespace)"
_PARTITIONS = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'processor.events'::regclass AND starts_with(c.relname, $1) ORDER BY c.relname
"""
_RAISE_FLOOR = """
    UPDATE processor.stream SET floor = last.position, floor_event_id = last.event_id, floor_raised_at = now()
    FROM (
        SELECT position, event_id FROM processor.events WHERE position < $1 ORDER BY position DESC LIMIT 1
    ) AS last
    WHERE id = 1 AND floor < last.position
"""
_SETTLED_FLOOR = "SELECT floor FROM processor.stream WHERE id = 1 AND floor_raised_at < now() - $1::interval"
_DELETE_STRAYS = """
    DELETE FROM processor.events_rest WHERE position IN (
        SELECT position FROM processor.events_rest WHERE position <= $1 ORDER BY position LIMIT $2
    )
"""
_DELETE_KEYS = """
    DELETE FROM processor.event_keys WHERE (tenant_id, digest) IN (
        SELECT tenant_id, digest FROM processor.event_keys
        WHERE NOT is_permanent AND published_at < $1 ORDER BY published_at LIMIT $2
    )
"""
_DELETE_REPLAYS = "DELETE FROM processor.replays WHERE created_at < $1"


def first_position(day: date) -> int:
    """Return the first position of a day, UTC."""
    return (day - _EPOCH).days * 86_400 * _MICROSECONDS


async def make_partition(connection: db.Connection, day: date) -> bool:
    """Make the partition of a day, unless it exists.

    Returns:
        False when it cannot be made because events of that day are in the default partition; they stay there.

    Safe to call again: yes.
    """
    name = f"{_PREFIX}{day:%Y%m%d}"
    if await connection.fetchval(_IS_THERE, name):
        return True
    low, high = first_position(day), first_position(day + timedelta(days=1))
    try:
        async with connection.transaction():
            await connection.execute(_LOCK)
            if await connection.fetchval(_IS_THERE, name):
                return True  # another process was faster
            # Attach the partition instead of making it in place: attaching does not block readers and publishers.
            await connection.execute(f"CREATE TABLE processor.{name} (LIKE processor.events INCLUDING STORAGE)")
            await connection.execute(
                f"ALTER TABLE processor.events ATTACH PARTITION processor.{name} FOR VALUES FROM ({low}) TO ({high})"
            )
    except asyncpg.CheckViolationError:
        return False
    return True


async def raise_floor(connection: db.Connection, before: date) -> None:
    """Stop serving events from before a day. Safe to call again: yes."""
    await connection.execute(_RAISE_FLOOR, first_position(before))


async def drop_partitions(connection: db.Connection, before: date, settle: timedelta) -> int:
    """Drop partitions from before a day that are not served any more.

    Args:
        connection: A connection outside of a transaction.
        before: The first day that is kept.
        settle: The time that must have passed since they were last served, so that no reader is still reading them.

    Returns:
        The number of partitions dropped.

    Safe to call again: yes.
    """
    floor = await connection.fetchval(_SETTLED_FLOOR, settle)
    if floor is None:
        return 0
    dropped = 0
    for name in [row["relname"] for row in await connection.fetch(_PARTITIONS, _PREFIX)]:
        day = datetime.strptime(name.removeprefix(_PREFIX), "%Y%m%d").replace(tzinfo=UTC).date()
        if day >= before:
            break
        later = f"SELECT EXISTS (SELECT FROM processor.{name} WHERE position > $1)"  # noqa: S608 - our own digits
        if not await connection.fetchval(later, floor):
            await connection.execute(f"DROP TABLE processor.{name}")
            dropped += 1
            logger.info("dropped events", day=day.isoformat())
    await connection.execute(_DELETE_STRAYS, floor, _BATCH)
    return dropped


async def delete_keys(connection: db.Connection, before: datetime) -> int:
    """Delete keys of updates that are too old to be repeated, a bounded number at a time; return their number."""
    return db.affected(await connection.execute(_DELETE_KEYS, before, _BATCH))


async def delete_replays(connection: db.Connection, before: datetime) -> None:
    """Delete the requests of old replays; their events stay as long as all others."""
    await connection.execute(_DELETE_REPLAYS, before)
