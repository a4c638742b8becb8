"""Gauges of the inbox's backlog, measured in rounds. Every process reports the same totals."""

from services.ingest.metrics import DEAD_LETTERS, OLDEST_DUE, PENDING
from services.ingest.store import inbox_status
from services.meshkit import db


class InboxGauges:
    """Sets the metrics of the waiting items, of the oldest due item and of the dead letters.

    Args:
        pool: Connections to PostgreSQL.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool

    async def round(self) -> int:
        """Measure the backlog. Safe to call again. Returns 0: the next round can wait.

        Raises:
            MeshError: PostgreSQL is away; the next round measures.
        """
        async with db.connection(self._pool) as connection:
            totals = await inbox_status.totals(connection, ())
        PENDING.set(totals.pending_items)
        OLDEST_DUE.set(totals.oldest_pending_seconds)
        DEAD_LETTERS.set(totals.dead_letters)
        return 0
