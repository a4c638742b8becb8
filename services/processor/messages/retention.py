"""End the modifications that no worker could end, and delete what is old."""

from datetime import datetime, timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.messages.ledger import expire
from services.processor.messages.store import modifications, own_changes

READABLE = timedelta(days=30)
"""The time for which a modification, and with it its idempotency key, is kept after its end."""
_GRACE = timedelta(minutes=10)
"""The time after the deadline in which a worker may end it, with better knowledge."""
_BATCH = 500


class ModificationRetention:
    """Runs rounds of ending and deleting; for a periodic loop of the server process.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def round(self) -> int:
        """Run one round; return the number of rows ended or deleted. Safe to call again and concurrently."""
        now = self._clock.now()
        ended = 0
        while ended < _BATCH and await self._end_one(now):
            ended += 1
        async with db.connection(self._pool) as connection:
            deleted = await modifications.delete_finished(connection, now - READABLE, _BATCH)
            return ended + deleted + await own_changes.delete_expired(connection, _BATCH)

    async def _end_one(self, now: datetime) -> bool:
        """End one modification in a transaction of its own: one that fails takes back the end of no other."""
        async with db.transaction(self._pool) as connection:
            rows = await modifications.lock_overdue(connection, now - _GRACE, 1)
            for row in rows:
                await expire(connection, row, now, "SERVICE_UNAVAILABLE")
            return bool(rows)
