"""The statements of replays: copy a range after the head, a bounded part at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.meshkit import db
from services.meshkit.ids import new_id
from services.processor.stream.filter import Selection
from services.processor.stream.store.event_log import CHANNEL, STEP

_IN_RANGE = """
    position > $1 AND position <= $2 AND replay_id IS NULL AND kind <> 0
    AND ($3::timestamptz IS NULL OR received_at >= $3) AND ($4::timestamptz IS NULL OR received_at < $4)
    AND ($5::uuid[] IS NULL OR tenant_id = ANY ($5)) AND ($6::text[] IS NULL OR provider = ANY ($6))
    AND ($7::text[] IS NULL OR event_type = ANY ($7) OR split_part(event_type, '.', 1) = ANY ($8::text[]))
    AND NOT split_part(event_type, '.', 1) = ANY ($9::text[])
"""
_SIZE = "basic_size + length(body) + length(raw) AS size"
_MEASURE = f"""
    SELECT count(*) AS events, coalesce(sum(size), 0)::bigint AS bytes
    FROM (SELECT {_SIZE} FROM processor.events WHERE {_IN_RANGE} LIMIT $10) AS matching
"""  # noqa: S608 - constants
_NEXT = f"""
    SELECT position, {_SIZE}
    FROM processor.events WHERE {_IN_RANGE} ORDER BY position LIMIT $10
"""  # noqa: S608 - constants
_BEGIN = """
    INSERT INTO processor.replays (replay_id, key_id, request_id, request_digest, start_position, start_event_id,
        done_position, end_position, matched, bytes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT DO NOTHING
    RETURNING *
"""
_BY_REQUEST = "SELECT * FROM processor.replays WHERE key_id = $1 AND request_id = $2"
_LOCK = "SELECT * FROM processor.replays WHERE replay_id = $1 FOR UPDATE"
_PROGRESS = """
    UPDATE processor.replays SET done_position = $2, appended = appended + $3 WHERE replay_id = $1 RETURNING *
"""
# The pass that seals stored events waits for the copies of those that it is about to seal, and finds them behind them.
_HOLD = "SELECT FROM processor.events WHERE position BETWEEN $2 AND $3 AND position = ANY ($1::bigint[]) FOR SHARE"
_COPY = f"""
    WITH head AS MATERIALIZED (
        SELECT * FROM processor.take_positions(cardinality($1::bigint[]), ($2::uuid[])[cardinality($2::uuid[])])
    ), copied AS (
        INSERT INTO processor.events (position, event_id, tenant_id, provider, event_type, kind, received_at,
            replay_id, original_event_id, basic_size, body_size, raw_size, basic, body, raw)
        SELECT head.base + c.place * {STEP}, c.event_id, e.tenant_id, e.provider, e.event_type, e.kind, e.received_at,
            $3, e.event_id, e.basic_size, e.body_size, e.raw_size, e.basic, e.body, e.raw
        FROM head, unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY AS c (position, event_id, place)
        JOIN processor.events e USING (position)
        WHERE e.position BETWEEN $4 AND $5
        RETURNING position
    )
    SELECT (SELECT count(*) FROM copied) AS appended,
        CASE WHEN is_alone THEN pg_notify('{CHANNEL}', last::text) END FROM head
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class Range:
    """The range of a replay.

    Args:
        after: The position before the range.
        until: The last position of the range.
        received_from: Only events received at or after this time.
        received_before: Only events received before this time.
        selection: The events that the caller gets.
    """

    after: int
    until: int
    received_from: datetime | None
    received_before: datetime | None
    selection: Selection

    def arguments(self, after: int) -> tuple[Any, ...]:
        """The values in the form that queries take."""
        chosen = self.selection
        return (
            after, self.until, self.received_from, self.received_before, chosen.tenant_list, chosen.providers,
            chosen.event_types, chosen.kinds, chosen.hidden,
        )  # fmt: skip


@dataclass(frozen=True)
class Replay:
    """A replay and its progress."""

    replay_id: UUID
    request_digest: bytes
    start_position: int
    start_event_id: UUID | None
    done_position: int
    end_position: int
    matched: int
    appended: int

    @classmethod
    def of(cls, row: asyncpg.Record | None) -> "Replay":
        """Read a row that must exist."""
        assert row is not None  # noqa: S101 - replays are deleted a day later
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


async def measure(connection: db.Connection, wanted: Range, most: int) -> tuple[int, int]:
    """Return the number of events of a range, up to a limit, and their size in bytes."""
    found = await connection.fetchrow(_MEASURE, *wanted.arguments(wanted.after), most)
    assert found is not None  # noqa: S101 - an aggregate has one row
    return found["events"], found["bytes"]


async def lock_used(connection: db.Connection, key_id: str, since: datetime) -> int:
    """Return the bytes of a key's replays since a time; other replays of the key begin after this transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", key_id)
    return int(
        await connection.fetchval(
            "SELECT coalesce(sum(bytes), 0) FROM processor.replays WHERE key_id = $1 AND created_at > $2", key_id, since
        )
    )


async def find_request(connection: db.Connection, key_id: str, request_id: str) -> Replay | None:
    """Find the replay that a request has begun."""
    row = await connection.fetchrow(_BY_REQUEST, key_id, request_id)
    return None if row is None else Replay.of(row)


async def begin(
    connection: db.Connection,
    key_id: str,
    request_id: str | None,
    digest: bytes,
    wanted: Range,
    start: tuple[int, UUID | None],
    matched: int,
    size: int,
) -> Replay | None:
    """Insert a replay whose copies come after a start; None when the same request has begun one in the meantime."""
    ends = (*start, wanted.after, wanted.until)
    row = await connection.fetchrow(_BEGIN, new_id(), key_id, request_id, digest, *ends, matched, size)
    return None if row is None else Replay.of(row)


async def copy_some(connection: db.Connection, replay: Replay, wanted: Range, most: int, most_bytes: int) -> Replay:
    """Append the next events of a replay, in one transaction that the caller commits right after.

    Args:
        connection: A connection in a transaction of isolation READ COMMITTED.
        replay: The replay.
        wanted: Its range.
        most: The largest number of events.
        most_bytes: The largest size in bytes, but at least one event: readers wait for the copy.

    Returns:
        The replay afterwards; it is complete when `done_position` is `end_position`.
    """
    held = Replay.of(await connection.fetchrow(_LOCK, replay.replay_id))
    rows = await connection.fetch(_NEXT, *wanted.arguments(held.done_position), most)
    positions = _within(rows, most_bytes)
    if not positions:
        return Replay.of(await connection.fetchrow(_PROGRESS, held.replay_id, held.end_position, 0))
    ids = [new_id() for _ in positions]
    await connection.execute(_HOLD, positions, positions[0], positions[-1])
    await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '5s'")
    progress = await connection.fetchrow(_PROGRESS, held.replay_id, positions[-1], len(positions))
    await connection.fetchrow(_COPY, positions, ids, held.replay_id, positions[0], positions[-1])
    return Replay.of(progress)


def _within(rows: list[asyncpg.Record], most_bytes: int) -> list[int]:
    positions: list[int] = []
    for row in rows:
        most_bytes -= row["size"]
        if positions and most_bytes < 0:
            break
        positions.append(row["position"])
    return positions
