"""The statements over events that wait for the end of a complete round: a series' parts come on several pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.meshkit import db


@dataclass(frozen=True)
class StagedEvent:
    """An entry of a page that waits.

    Args:
        series: The provider's id of the series, or of the event itself.
        provider_event_id: The provider's id.
        entry: The entry.
    """

    series: str
    provider_event_id: str
    entry: dict[str, Any]


async def save(connection: db.Connection, calendar_id: str, found: Sequence[StagedEvent], number: int) -> None:
    """Store entries of a round, each once."""
    await connection.executemany(
        "INSERT INTO processor.calendar_staged (calendar_id, series, provider_event_id, round, content)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (calendar_id, series, provider_event_id)"
        " DO UPDATE SET round = excluded.round, content = excluded.content",
        [(calendar_id, one.series, one.provider_event_id, number, orjson.dumps(one.entry)) for one in found],
    )


async def some(connection: db.Connection, calendar_id: str, number: int, limit: int) -> list[StagedEvent]:
    """Read all entries of some series and events of a round, `limit` of them."""
    rows = await connection.fetch(
        """
        SELECT series, provider_event_id, content FROM processor.calendar_staged
        WHERE calendar_id = $1 AND round = $2 AND series IN (
            SELECT DISTINCT series FROM processor.calendar_staged
            WHERE calendar_id = $1 AND round = $2 ORDER BY series LIMIT $3)
        ORDER BY series, provider_event_id
        """,
        calendar_id,
        number,
        limit,
    )
    return [StagedEvent(row["series"], row["provider_event_id"], orjson.loads(row["content"])) for row in rows]


async def forget(connection: db.Connection, calendar_id: str, series: Sequence[str]) -> None:
    """Delete the entries of series and events."""
    await connection.execute(
        "DELETE FROM processor.calendar_staged WHERE calendar_id = $1 AND series = ANY($2::text[])",
        calendar_id,
        list(series),
    )


async def forget_old(connection: db.Connection, calendar_id: str, number: int, limit: int) -> bool:
    """Delete entries of earlier rounds, `limit` at most; return whether none is left."""
    deleted = await connection.execute(
        "DELETE FROM processor.calendar_staged WHERE ctid IN ("
        "SELECT ctid FROM processor.calendar_staged WHERE calendar_id = $1 AND round < $2 LIMIT $3)",
        calendar_id,
        number,
        limit,
    )
    return db.affected(deleted) < limit
