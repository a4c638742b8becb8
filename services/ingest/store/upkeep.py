"""What keeps the inbox small for ever: partitions made ahead and dropped behind, keys and leftovers that nobody needs.

Only what is worked lies in partitions. What is pending, leased or dead is in tables of its own, so that no retention
can reach it.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from mailmesh.ingest.v1.subscription_service_pb2 import DeliveryMode, SubscriptionState
from services.ingest.store.connections import Connection, Pool, reading, transaction

DAYS_AHEAD: Final = 7
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('ingest.partitions', 0))"
_PARTITIONS = """
SELECT child.relname FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'ingest.worked_items'::regclass AND child.relname ~ '^worked_items_[0-9]{8}$'
"""
_KEY_BLOCKS = "SELECT pg_relation_size('ingest.item_keys') / current_setting('block_size')::bigint"
# By place, not by time: no index on the time has to be kept up for every notification.
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
_OLD_REFUSALS = "DELETE FROM ingest.refusals WHERE minute < now() - interval '7 days'"
_FIND_STRAYS = """
UPDATE ingest.mailboxes AS mailbox SET next_due_at = now()
WHERE next_due_at IS NULL AND lease_until IS NULL
    AND EXISTS (SELECT FROM ingest.items WHERE tenant_id = mailbox.tenant_id)
"""
_REFUSED = """
SELECT minute FROM ingest.refusals
WHERE NOT is_answered AND notifications >= $1
    AND minute < now() - interval '1 minute' AND minute > now() - interval '1 day'
"""
_PUSHED_TENANTS = """
SELECT DISTINCT tenant_id::text FROM ingest.subscriptions
WHERE delivery_mode = $1 AND state = ANY($2::smallint[]) ORDER BY 1
"""
_ANSWERED = "UPDATE ingest.refusals SET is_answered = true WHERE minute = ANY($1::timestamptz[])"
_PUSHED_STATES = (SubscriptionState.SUBSCRIPTION_STATE_ACTIVE, SubscriptionState.SUBSCRIPTION_STATE_FAILING)


class UpkeepStore:
    """Does the upkeep. Every method may be called again, by several processes at once.

    Args:
        pool: Bounded connections.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def make_partitions(self, today: date) -> int:
        """Makes the partitions from today to a week ahead.

        Returns:
            How many were missing.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
            Conflict: Somebody held a lock for too long.
        """
        wanted = [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)]
        async with transaction(self._pool) as connection:
            await connection.execute(_LOCK)
            known = {row["relname"] for row in await connection.fetch(_PARTITIONS)}
            missing = [day for day in wanted if _name(day) not in known]
            for day in missing:
                await _make_partition(connection, day)
        return len(missing)

    async def drop_partitions(self, before: date) -> int:
        """Drops the partitions of days before one.

        Returns:
            How many.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
            Conflict: Somebody held a lock for too long.
        """
        async with transaction(self._pool) as connection:
            await connection.execute(_LOCK)
            known = {row["relname"] for row in await connection.fetch(_PARTITIONS)}
            old = sorted(name for name in known if name < _name(before))
            for name in old:
                await connection.execute(f"DROP TABLE ingest.{name}")
        return len(old)

    async def key_blocks(self) -> int:
        """The size of the table of keys, in blocks.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with reading(self._pool) as connection:
            return int(await connection.fetchval(_KEY_BLOCKS))

    async def expire_keys(self, first_block: int, blocks: int, retention: timedelta) -> int:
        """Forgets keys that no provider repeats any more, in a stretch of the table.

        Returns:
            How many.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        stretch = f"({first_block},0)", f"({first_block + blocks},0)"
        async with reading(self._pool) as connection:
            return _affected(await connection.execute(_EXPIRE_KEYS, *stretch, retention))

    async def drop_leftovers(self, retention: timedelta, limit: int) -> int:
        """Removes retried dead letters, worked lifecycle notifications and counts of refusals that are old.

        Returns:
            How many.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with reading(self._pool) as connection:
            removed = _affected(await connection.execute(_OLD_DEAD_LETTERS, retention, limit))
            removed += _affected(await connection.execute(_OLD_LIFECYCLE, retention, limit))
            return removed + _affected(await connection.execute(_OLD_REFUSALS))

    async def find_strays(self) -> int:
        """Makes mailboxes due that have items and are not. There should be none, ever.

        Returns:
            How many.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with reading(self._pool) as connection:
            return _affected(await connection.execute(_FIND_STRAYS))

    async def unanswered_refusals(self, at_least: int) -> Sequence[datetime]:
        """The minutes, over by now, in which so many notifications were refused that mailboxes are to be compared.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with reading(self._pool) as connection:
            return [row["minute"] for row in await connection.fetch(_REFUSED, at_least)]

    async def pushed_tenants(self) -> Sequence[str]:
        """The tenants whose changes reach us by pushes.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with reading(self._pool) as connection:
            rows = await connection.fetch(_PUSHED_TENANTS, DeliveryMode.DELIVERY_MODE_PUSH, _PUSHED_STATES)
        return [row["tenant_id"] for row in rows]

    async def answer_refusals(self, minutes: Sequence[datetime]) -> None:
        """Notes that the mailboxes are being compared for what was refused in these minutes.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with reading(self._pool) as connection:
            await connection.execute(_ANSWERED, list(minutes))


async def _make_partition(connection: Connection, day: date) -> None:
    """Makes a partition beside the table, moves in what the default one has of the day, and attaches it."""
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


def _affected(status: str) -> int:
    return int(status.rpartition(" ")[2])
