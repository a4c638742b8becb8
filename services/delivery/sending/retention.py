"""Delete what is past its time: attempts, exhausted deliveries, and the rest of deleted endpoints."""

from datetime import timedelta

from services.delivery.store import attempts
from services.meshkit import db
from services.meshkit.clock import Clock

_BATCH = 1000


class Retention:
    """Deletes in batches.

    Args:
        pool: Connections to PostgreSQL.
        days: Days for which attempts and exhausted deliveries are kept.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, days: int, clock: Clock) -> None:
        self._pool = pool
        self._days = timedelta(days=days)
        self._clock = clock

    async def round(self) -> int:
        """Delete one batch; return the number of deleted rows."""
        async with db.transaction(self._pool) as connection:
            old = await attempts.delete_old(connection, self._clock.now() - self._days, _BATCH)
            return old + await attempts.delete_of_deleted(connection, _BATCH)
