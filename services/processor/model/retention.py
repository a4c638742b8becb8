"""Delete old entries of calls."""

from datetime import timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.model.store import calls

READABLE = timedelta(days=90)
"""The time for which an entry is kept."""
_BATCH = 500


class ModelCallRetention:
    """Runs rounds of deleting; for a periodic loop of the server process.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def round(self) -> int:
        """Run one round; return the number of deleted entries. Safe to call again and concurrently."""
        async with db.connection(self._pool) as connection:
            return await calls.delete_old(connection, self._clock.now() - READABLE, _BATCH)
