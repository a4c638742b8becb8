"""How far the edge's counters of refusals have been read, and what was added to them."""

from datetime import datetime
from typing import Final

from services.ingest.store import cursors
from services.ingest.store.connections import Pool, transaction

_NAME: Final = "edge_refusals:"
_ADD = """
INSERT INTO ingest.refusals (minute, notifications) VALUES (date_trunc('minute', $1::timestamptz), $2)
ON CONFLICT (minute) DO UPDATE
SET notifications = refusals.notifications + excluded.notifications, is_answered = false
"""


class EdgeRefusalStore:
    """Notes what edges refused.

    Args:
        pool: Bounded connections.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def note(self, edge: str, total: int, now: datetime) -> int:
        """Notes what has been added to an edge's count since it was last noted, by whichever process.

        Args:
            edge: Which one.
            total: What it counts since its start. Less than before means that it was started anew.
            now: When it was read.

        Returns:
            What was added. The first look at an edge only learns where its count stands.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        name = f"{_NAME}{edge}"
        async with transaction(self._pool) as connection:
            before = await cursors.locked(connection, name)
            added = 0 if before is None else _added(int(before), total)
            if added:
                await connection.execute(_ADD, now, added)
            if added or before is None or int(before) != total:
                await cursors.move(connection, name, str(total))
        return added


def _added(before: int, total: int) -> int:
    return total - before if total >= before else total
