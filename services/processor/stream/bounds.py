"""The bounds of the stream: its oldest and newest cursors, and the check of a cursor against them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from services.meshkit import db
from services.processor.stream.cursor import Cursor, tag_of
from services.processor.stream.errors import CursorEpochChanged, CursorExpired
from services.processor.stream.store.event_reader import StreamState, before_publishers, stream_state

_PAUSES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
"""The pauses between two checks of the publishers under way, in seconds; afterwards a reader stops before them."""


@asynccontextmanager
async def settled(pool: db.Pool, position: int) -> AsyncIterator[tuple[db.Connection, StreamState]]:
    """Yield a connection, and the state of the stream whose head no further event can precede.

    The head is that of the newest event, once the publishers that were under way have ended: they may commit at earlier
    positions. A publisher that begins later takes later positions. The wait takes a quarter of a second at most and
    holds no connection; then the head is that of the last event that precedes the publishers still under way.

    Args:
        pool: Connections to PostgreSQL.
        position: The position of the event to look for.
    """
    first: StreamState | None = None
    left: dict[int, tuple[int, UUID | None]] = {}
    for pause in (*_PAUSES, None):
        async with db.connection(pool) as connection:
            state = await stream_state(connection, position)
            first = first or state
            # A lane whose head has moved has a publisher that began later.
            left = dict((left or first.under_way).items() & state.under_way.items())
            if not left or pause is None:
                head = (first.head, first.head_event_id)
                if left:
                    head = await before_publishers(connection, left, first.head)
                elif not state.under_way:
                    head = (state.head, state.head_event_id)
                yield connection, replace(state, head=head[0], head_event_id=head[1])
                return
        await asyncio.sleep(pause)


def check(cursor: Cursor, state: StreamState) -> None:
    """Make sure that a reader who resumes from a cursor skips nothing.

    Args:
        cursor: The reader's cursor.
        state: The state of the stream, read for the cursor's position.

    Raises:
        CursorExpired: Retention has dropped events after it.
        CursorEpochChanged: The cursor's event is not in this store: another store issued the cursor.
    """
    metadata = {"oldest_cursor": oldest(state).write()}
    if cursor.epoch != state.epoch:
        raise CursorEpochChanged(metadata=metadata)
    if cursor.position < state.floor:
        raise CursorExpired(metadata=metadata)
    here = state.floor_event_id if cursor.position == state.floor else state.here
    if tag_of(here) != cursor.tag or (here is None and cursor.position != 0):
        raise CursorEpochChanged(metadata=metadata)


def oldest(state: StreamState) -> Cursor:
    """Return the cursor before all events that are kept."""
    return Cursor(state.epoch, state.floor, tag_of(state.floor_event_id))


def newest(state: StreamState) -> Cursor:
    """Return the cursor after all events."""
    return oldest(state) if state.head <= state.floor else Cursor(state.epoch, state.head, tag_of(state.head_event_id))


def at_event(state: StreamState, position: int, event_id: UUID) -> Cursor:
    """Return the cursor after one event."""
    return oldest(state) if position <= state.floor else Cursor(state.epoch, position, tag_of(event_id))
