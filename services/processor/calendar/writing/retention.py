"""End the writes that no worker could end, and delete those whose outcome is old."""

from datetime import timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.calendar.store import writes
from services.processor.calendar.writing.outcome import end

READABLE = timedelta(days=30)
"""The time for which a write, and with it its idempotency key, is kept after its outcome."""
_GRACE = timedelta(minutes=10)
"""The time after the deadline in which a worker may end the write itself, with better knowledge."""
_BATCH = 500


class WriteRetention:
    """Runs rounds of ending and deleting; for a periodic loop of the server process.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
        grace: See `_GRACE`.
    """

    def __init__(self, pool: db.Pool, clock: Clock, grace: timedelta = _GRACE) -> None:
        self._pool = pool
        self._clock = clock
        self._grace = grace

    async def round(self) -> int:
        """Run one round; return the number of writes ended or deleted. Safe to call again and concurrently."""
        ended = 0
        while ended < _BATCH and await self._end_one():
            ended += 1
        async with db.connection(self._pool) as connection:
            return ended + await writes.delete_finished(connection, self._clock.now() - READABLE, _BATCH)

    async def _end_one(self) -> bool:
        """End one write in a transaction of its own: publishing must be its last step."""
        async with db.transaction(self._pool) as connection:
            row = await writes.lock_overdue(connection, self._grace)
            if row is not None:
                await end(connection, row, self._clock.now(), row.reason or "no worker could act on it")
            return row is not None
