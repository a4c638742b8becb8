"""Read the stream. Every query takes the reader's scope, and examines a bounded number of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

import asyncpg

from services.meshkit import db
from services.processor.stream.cursor_seal import CursorSeal, seal_of
from services.processor.stream.filter import Selection

# The lane of a publisher under way shows its head from before that transaction.
_STATE = """
    SELECT epoch, cursor_key, newest.head, newest.head_event_id, floor, floor_event_id,
        (SELECT event_id FROM processor.events WHERE position = $1) AS here, lanes, heads, ids
    FROM processor.stream, (
        SELECT coalesce(array_agg(id), '{}') AS lanes, coalesce(array_agg(head), '{}') AS heads,
            coalesce(array_agg(head_event_id), '{}') AS ids
        FROM processor.stream AS lane WHERE processor.is_under_way(lane.xmax)
    ) AS under_way, (SELECT head, head_event_id FROM processor.stream ORDER BY head DESC LIMIT 1) AS newest
    WHERE id = 1
"""
_NEWEST = "SELECT max(head) FROM processor.stream"
# A second is left for a clock that is set back. Transactions of other roles have no time here: the head counts alone.
_BEFORE = """
    SELECT position, event_id FROM processor.events WHERE position <= least($2, (
        SELECT min(greatest(lane.head, coalesce((
            SELECT (extract(epoch FROM publisher.xact_start - interval '1 second') * 1000000)::bigint
            FROM pg_stat_activity AS publisher WHERE publisher.backend_xid = lane.xmax
        ), 0))) FROM processor.stream AS lane WHERE lane.id = ANY ($1::smallint[]) AND processor.is_under_way(lane.xmax)
    )) ORDER BY position DESC LIMIT 1
"""
_COLUMNS = "position, event_id, tenant_id, provider, event_type, replay_id, basic_size, body_size, raw_size"
_WHOLE_STREAM = f"""
    SELECT {_COLUMNS} FROM processor.events
    WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3
"""  # noqa: S608 - constants
_OF_TENANTS = f"""
    SELECT {_COLUMNS} FROM unnest($4::uuid[]) AS asked (tenant), LATERAL (
        SELECT {_COLUMNS} FROM processor.events
        WHERE tenant_id = asked.tenant AND position > $1 AND position <= $2 ORDER BY position LIMIT $3
    ) AS each_tenant
    ORDER BY position LIMIT $3
"""  # noqa: S608 - constants
# The last row that was examined is returned in any case: it marks the reader's progress.
_CHOSEN = """
    WITH looked_at AS MATERIALIZED ({window})
    SELECT position, event_id, basic_size, body_size, raw_size, is_chosen, looked_at_count FROM (
        SELECT *, position = max(position) OVER () AS is_last, count(*) OVER () AS looked_at_count, (
            ($4::uuid[] IS NULL OR tenant_id = ANY ($4))
            AND ($5::text[] IS NULL OR provider = ANY ($5))
            AND ($6::text[] IS NULL OR event_type = ANY ($6) OR split_part(event_type, '.', 1) = ANY ($7::text[]))
            AND ($8::boolean OR replay_id IS NULL)
            AND ($9::uuid IS NULL OR replay_id = $9)
            AND NOT split_part(event_type, '.', 1) = ANY ($10::text[])
        ) AS is_chosen FROM looked_at
    ) AS judged
    WHERE is_chosen OR is_last ORDER BY position
"""
_FROM_STREAM = _CHOSEN.format(window=_WHOLE_STREAM)
_FROM_TENANTS = _CHOSEN.format(window=_OF_TENANTS)
_LOAD = """
    SELECT position, kind, event_id, tenant_id, replay_id, original_event_id, basic,
        CASE WHEN $4 THEN body END AS body, CASE WHEN $5 THEN raw END AS raw
    FROM processor.events
    WHERE position BETWEEN $1 AND $2 AND position = ANY ($3::bigint[]) AND ($6::uuid[] IS NULL OR tenant_id = ANY ($6))
    ORDER BY position
"""
_BY_ID = """
    SELECT position, kind, event_id, tenant_id, replay_id, original_event_id, basic, body, raw
    FROM processor.events WHERE event_id = $1 AND ($2::uuid[] IS NULL OR tenant_id = ANY ($2))
"""

_LAST_BEFORE = """
    SELECT position, event_id FROM processor.events WHERE position < $1 ORDER BY position DESC LIMIT 1
"""


Lanes: TypeAlias = Mapping[int, tuple[int, UUID | None]]
"""By lane: its last position and the id of the event there."""


@dataclass(frozen=True)
class StreamState:
    """The ends of the stream.

    Args:
        epoch: The epoch of the store.
        head: The position of the newest event; 0 before the first event. Once `settled`, no further event can appear
            up to it.
        head_event_id: That event.
        floor: The position of the newest event that retention has dropped; 0 before the first.
        floor_event_id: That event.
        here: The event at the requested position; None when there is none.
        under_way: The lanes of publishers under way.
        seal: Seals the cursors of readers of some tenants; None until an operator has begun to seal.
    """

    epoch: bytes
    head: int
    head_event_id: UUID | None
    floor: int
    floor_event_id: UUID | None
    here: UUID | None
    under_way: Lanes = field(default_factory=dict)
    seal: CursorSeal | None = None


@dataclass(frozen=True)
class Window:
    """A part of the stream that was examined.

    Args:
        chosen: The rows that the selection includes, in order.
        last: The last row that was examined; None when there was none.
        is_end: Whether there were no further rows.
    """

    chosen: Sequence[asyncpg.Record]
    last: asyncpg.Record | None
    is_end: bool


async def stream_state(connection: db.Connection, position: int) -> StreamState:
    """Read the ends of the stream, the publishers under way, and the event at a position, without waiting."""
    row = await connection.fetchrow(_STATE, position)
    assert row is not None  # noqa: S101 - the migration has made the stream's row
    under_way = dict(zip(row["lanes"], zip(row["heads"], row["ids"], strict=True), strict=True))
    ends = (row["epoch"], row["head"], row["head_event_id"], row["floor"], row["floor_event_id"])
    seal = None if row["cursor_key"] is None else seal_of(row["cursor_key"])
    return StreamState(*ends, row["here"], under_way, seal)


async def before_publishers(connection: db.Connection, lanes: Lanes, until: int) -> tuple[int, UUID | None]:
    """Read the position and the id of the last event that no event of some publishers under way can precede.

    A publisher takes positions behind the head of its lane, and behind the time at which its transaction began.

    Args:
        connection: Any connection.
        lanes: The lanes of the publishers, with their heads.
        until: The largest position to return.
    """
    lowest = min(lanes.values(), key=_by_head)
    row = await connection.fetchrow(_BEFORE, list(lanes), until)
    return lowest if row is None else max(lowest, (row["position"], row["event_id"]), key=_by_head)


async def newest_position(connection: db.Connection) -> int:
    """Read the position of the newest event, which events of publishers under way may still precede."""
    return int(await connection.fetchval(_NEWEST))


def _by_head(lane: tuple[int, UUID | None]) -> int:
    return lane[0]


async def last_before(connection: db.Connection, position: int) -> asyncpg.Record | None:
    """Read the position and the id of the last event before a position; None when there is none."""
    return await connection.fetchrow(_LAST_BEFORE, position)


async def look(connection: db.Connection, selection: Selection, after: int, until: int, count: int) -> Window:
    """Examine the next rows of the stream for a reader.

    Args:
        connection: Any connection.
        selection: The events that the reader gets.
        after: The position after which to begin.
        until: The head; later events are not examined.
        count: The largest number of rows to examine.
    """
    query = _FROM_TENANTS if selection.is_merged else _FROM_STREAM
    rows = await connection.fetch(
        query, after, until, count, selection.tenant_list, selection.providers, selection.event_types, selection.kinds,
        selection.include_replays, selection.replay_id, selection.hidden,
    )  # fmt: skip
    if not rows:
        return Window((), None, is_end=True)
    return Window([row for row in rows if row["is_chosen"]], rows[-1], rows[0]["looked_at_count"] < count)


async def load(
    connection: db.Connection,
    selection: Selection,
    positions: Sequence[int],
    *,
    with_body: bool,
    with_raw: bool,
) -> list[asyncpg.Record]:
    """Read the contents of events at positions, in order; positions out of scope return no row."""
    if not positions:
        return []
    rows: list[asyncpg.Record] = await connection.fetch(
        _LOAD, positions[0], positions[-1], positions, with_body, with_raw, selection.tenant_list
    )
    return rows


async def find(connection: db.Connection, scope: list[str] | None, event_id: str) -> asyncpg.Record | None:
    """Read one event with all its parts; None when it does not exist or is out of scope."""
    return await connection.fetchrow(_BY_ID, event_id, scope)
