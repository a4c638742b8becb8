"""Refused notifications, counted by minute: by Ingest itself, and by the edge in front of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.ingest.store import cursors
from services.meshkit import db

_EDGE_CURSOR: Final = "edge_refusals:"
_ADD = """
INSERT INTO ingest.refusals (minute, notifications) VALUES (date_trunc('minute', $1::timestamptz), $2)
ON CONFLICT (minute) DO UPDATE
SET notifications = refusals.notifications + excluded.notifications, is_answered = false
"""
_UNANSWERED = """
SELECT minute FROM ingest.refusals
WHERE NOT is_answered AND notifications >= $1
    AND minute < now() - interval '1 minute' AND minute > now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM ingest.refusals WHERE is_answered AND minute > now() - interval '1 hour')
"""
_ANSWERED = "UPDATE ingest.refusals SET is_answered = true WHERE minute = ANY($1::timestamptz[])"


async def note_edge_total(pool: db.Pool, edge: str, total: int, now: datetime) -> int:
    """Add the growth of an edge's count since any process last noted it.

    Args:
        pool: Connections to PostgreSQL.
        edge: Name of the edge.
        total: The edge's count since its start. A smaller count than before means that the edge was restarted.
        now: When the count was read.

    Returns:
        The growth. The first reading of an edge only stores its count.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    name = f"{_EDGE_CURSOR}{edge}"
    async with db.transaction(pool) as connection:
        before = await cursors.lock(connection, name)
        added = 0 if before is None else _growth(int(before), total)
        if added:
            await connection.execute(_ADD, now, added)
        if added or before is None or int(before) != total:
            await cursors.move(connection, name, str(total))
    return added


async def unanswered(connection: db.Connection, at_least: int) -> Sequence[datetime]:
    """Return the past minutes with at least so many refusals for which no reconciliation was requested yet.

    The answer is empty within an hour of refusals that were answered; these minutes are returned after that hour. The
    edge cannot tell the requests of a provider from those of a stranger, and a reconciliation of all mailboxes costs.
    """
    return [row["minute"] for row in await connection.fetch(_UNANSWERED, at_least)]


async def mark_answered(connection: db.Connection, minutes: Sequence[datetime]) -> None:
    """Note that reconciliations were requested for the refusals of these minutes."""
    await connection.execute(_ANSWERED, list(minutes))


def _growth(before: int, total: int) -> int:
    return total - before if total >= before else total
