"""Append to the stream: claim the keys, take a lane, and leave only the commit to the caller."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.meshkit import db
from services.processor.stream.serialization import Payload

CHANNEL = "mailmesh_processor_events"
"""The NOTIFY channel of the stream's head; the payload is the head of a publisher that began while no other published.

If its transaction is rolled back, those that began meanwhile are found by the next poll of a reader.
"""

STEP = 16
"""The distance of two positions of one lane; each of the at most 16 lanes has numbers of its own between them."""

_ADD_LANES = f"""
    INSERT INTO processor.stream (id, epoch)
    SELECT lane, epoch FROM processor.stream, generate_series(2, {STEP}) AS lane WHERE id = 1 ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants

# A client that freezes between here and its commit holds up all readers, so PostgreSQL ends its transaction.
_HOLD = "5s"

_TAKEN = """
    SELECT k.digest, k.event_id FROM processor.event_keys k
    JOIN unnest($1::uuid[], $2::bytea[]) AS asked (tenant_id, digest) USING (tenant_id, digest)
"""
# The keys come first: a statement that waits for another one's keys has taken no lane yet. A lane is then locked until
# the commit. Positions grow beyond those of each commit that came before the lane was taken, whichever lane it used.
_APPENDING = """
    claimed AS (
        INSERT INTO processor.event_keys (tenant_id, digest, event_id, is_permanent)
        SELECT * FROM unnest($14::uuid[], $15::bytea[], $16::uuid[], $17::boolean[])
        WHERE {condition}
        ON CONFLICT (tenant_id, digest) DO NOTHING
        RETURNING event_id
    ), fresh AS MATERIALIZED (
        SELECT e.*, row_number() OVER (ORDER BY place) AS number
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[],
            $7::uuid[], $8::uuid[], $9::integer[], $10::integer[], $11::bytea[], $12::bytea[], $13::bytea[])
            WITH ORDINALITY AS e (event_id, tenant_id, provider, event_type, kind, received_at,
                replay_id, original_event_id, body_size, raw_size, basic, body, raw, place)
        WHERE event_id IN (SELECT event_id FROM claimed)
    ), counted AS MATERIALIZED (
        SELECT count(*)::integer AS events, array_agg(event_id ORDER BY number) AS ids FROM fresh
    ), head AS MATERIALIZED (
        SELECT taken.* FROM counted, processor.take_positions(events, ids[events]) AS taken
    ), appended AS (
        INSERT INTO processor.events (position, event_id, tenant_id, provider, event_type, kind, received_at,
            replay_id, original_event_id, basic_size, body_size, raw_size, basic, body, raw)
        SELECT head.base + e.number * {step}, e.event_id, e.tenant_id, e.provider, e.event_type, e.kind, e.received_at,
            e.replay_id, e.original_event_id, length(e.basic), e.body_size, e.raw_size, e.basic, e.body, e.raw
        FROM head, fresh AS e
    )
"""
PLACE = f"""
    base, epoch, (SELECT ids FROM counted) AS ids,
    set_config('idle_in_transaction_session_timeout', '{_HOLD}', true),
    CASE WHEN is_alone THEN pg_notify('{CHANNEL}', last::text) END
"""  # noqa: S608 - constants
"""The columns, from `head` of `appending`, that `appended_of` takes."""


def appending(condition: str = "true", arguments_before: int = 0) -> str:
    """Return the parts of a statement that append events.

    Args:
        condition: A condition without which nothing is appended.
        arguments_before: The number of the statement's arguments before those of `columns_of`.
    """
    parts = _APPENDING.format(condition=condition, step=STEP)
    return _ARGUMENT.sub(lambda found: f"${int(found[1]) + arguments_before}", parts)


_ARGUMENT = re.compile(r"\$(\d+)")
_APPEND = f"WITH {appending()} SELECT {PLACE} FROM head"  # noqa: S608 - constants


@dataclass(frozen=True)
class EventRow:
    """An event that is about to be appended."""

    event_id: UUID
    tenant_id: str
    provider: str
    event_type: str
    kind: int
    received_at: datetime
    payload: Payload
    replay_id: UUID | None = None
    original_event_id: UUID | None = None


@dataclass(frozen=True)
class KeyRow:
    """The key that makes an event unique.

    Args:
        tenant_id: The tenant's UUID.
        digest: The digest of the values that must not be published twice.
        event_id: The event that takes the key when it is free.
        is_permanent: Whether the key is kept as long as the tenant.
    """

    tenant_id: str
    digest: bytes
    event_id: UUID
    is_permanent: bool


@dataclass(frozen=True)
class Appended:
    """The place of appended events: the first one is at `base + 1`.

    Args:
        base: The position before the first one.
        epoch: The epoch of the store.
        event_ids: The appended events, in order.
    """

    base: int
    epoch: bytes
    event_ids: Sequence[UUID]


async def append(connection: db.Connection, rows: Sequence[EventRow], keys: Sequence[KeyRow]) -> Appended | None:
    """Append the events whose keys are free, in their order.

    A caller in a transaction commits right after: until then readers wait for it.

    Args:
        connection: A connection outside of any transaction, or in one of isolation READ COMMITTED.
        rows: The events.
        keys: Their keys. The call waits for another transaction that has just claimed one of them.

    Returns:
        The appended events; None when every key was in use.
    """
    row = await connection.fetchrow(_APPEND, *columns_of(rows, keys))
    return None if row is None else appended_of(row)


def columns_of(rows: Sequence[EventRow], keys: Sequence[KeyRow]) -> list[list[object]]:
    """Return the arguments of `appending`."""
    # One order everywhere keeps two transactions from waiting for each other.
    ordered = sorted(keys, key=lambda key: (key.tenant_id, key.digest))
    return [
        [row.event_id for row in rows],
        [row.tenant_id for row in rows],
        [row.provider for row in rows],
        [row.event_type for row in rows],
        [row.kind for row in rows],
        [row.received_at for row in rows],
        [row.replay_id for row in rows],
        [row.original_event_id for row in rows],
        [row.payload.body_size for row in rows],
        [row.payload.raw_size for row in rows],
        [row.payload.basic for row in rows],
        [row.payload.body for row in rows],
        [row.payload.raw for row in rows],
        [key.tenant_id for key in ordered],
        [key.digest for key in ordered],
        [key.event_id for key in ordered],
        [key.is_permanent for key in ordered],
    ]


def appended_of(row: asyncpg.Record) -> Appended | None:
    """Return the appended events of a statement's answer; None when every key was in use."""
    return None if row["base"] is None else Appended(row["base"], row["epoch"], row["ids"])


async def holders(connection: db.Connection, keys: Sequence[KeyRow]) -> dict[bytes, UUID]:
    """Read the events that hold keys now, by digest."""
    rows = await connection.fetch(_TAKEN, [key.tenant_id for key in keys], [key.digest for key in keys])
    return {row["digest"]: UUID(str(row["event_id"])) for row in rows}


async def add_lanes(connection: db.Connection) -> None:
    """Make all lanes of the stream. Safe to call again: yes, and while events are published and read."""
    await connection.execute(_ADD_LANES)


async def begin_sealing(connection: db.Connection, key: bytes) -> None:
    """Keep the key that seals cursors; a stream that has one keeps it. Safe to call again: yes."""
    await connection.execute("UPDATE processor.stream SET cursor_key = $1 WHERE id = 1 AND cursor_key IS NULL", key)


async def set_epoch(connection: db.Connection, epoch: bytes) -> None:
    """Begin a new epoch of the stream."""
    await connection.execute("UPDATE processor.stream SET epoch = $1 WHERE id = 1", epoch)
