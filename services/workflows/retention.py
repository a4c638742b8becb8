"""Delete runs that ended long ago."""

from datetime import timedelta

from services.meshkit import db
from services.workflows.store import runs

_BATCH = 1000


class Retention:
    """Deletes in batches.

    Args:
        pool: Connections to PostgreSQL.
        days: Days for which ended runs are kept.
    """

    def __init__(self, pool: db.Pool, days: int) -> None:
        self._pool = pool
        self._days = timedelta(days=days)

    async def round(self) -> int:
        """Delete one batch; return the number of deleted runs."""
        async with db.transaction(self._pool) as connection:
            return await runs.delete_old(connection, self._days, _BATCH)
