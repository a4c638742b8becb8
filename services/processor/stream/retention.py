"""Retention of the stream: make partitions ahead of time, and drop those past retention."""

from datetime import timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.stream.metrics import DROPPED_PARTITIONS, STRAY_DAYS
from services.processor.stream.store import retention as store

DAYS_AHEAD = 7
SETTLE = timedelta(minutes=2)
"""The time between the end of serving events and dropping them: longer than any statement may take."""
REDELIVERY = timedelta(days=31)
"""The longest time for which a provider repeats a notification."""
REPLAY_MEMORY = timedelta(days=1)


class Retention:
    """Makes partitions and drops them.

    Args:
        pool: Connections to PostgreSQL, as the owner of the schema.
        days: The number of days for which events are kept.
        clock: The time.
        settle: See `SETTLE`.
    """

    def __init__(self, pool: db.Pool, days: int, clock: Clock, settle: timedelta = SETTLE) -> None:
        self._pool = pool
        self._days = timedelta(days=days)
        self._clock = clock
        self._settle = settle

    async def prepare(self) -> None:
        """Make the partitions of today and of the days ahead. Safe to call again: yes."""
        today = self._clock.now().date()
        async with db.connection(self._pool) as connection:
            made = [
                await store.make_partition(connection, today + timedelta(days=number))
                for number in range(-1, DAYS_AHEAD + 1)
            ]
        STRAY_DAYS.set(made.count(False))

    async def round(self) -> int:
        """Run one round; return the number of partitions and keys dropped. Safe to call again: yes."""
        await self.prepare()
        now = self._clock.now()
        first_kept = (now - self._days).date()
        async with db.connection(self._pool) as connection:
            await store.raise_floor(connection, first_kept)
            dropped = await store.drop_partitions(connection, first_kept, self._settle)
            keys = await store.delete_keys(connection, now - self._days - REDELIVERY)
            await store.delete_replays(connection, now - REPLAY_MEMORY)
        DROPPED_PARTITIONS.inc(dropped)
        return dropped + keys
