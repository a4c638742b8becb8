"""The ends of the stream as cursors, and the check of a reader's cursor against them."""

from uuid import UUID

from services.processor.stream.cursor import Cursor, tag_of
from services.processor.stream.cursor_seal import written
from services.processor.stream.errors import CursorEpochChanged, CursorExpired
from services.processor.stream.store.event_reader import StreamState


def check(cursor: Cursor, state: StreamState) -> None:
    """Make sure that a reader who resumes from a cursor skips nothing.

    Args:
        cursor: The reader's cursor.
        state: The state of the stream, read for the cursor's position.

    Raises:
        CursorExpired: Retention has dropped events after it.
        CursorEpochChanged: The cursor's event is not in this store: another store issued the cursor.
    """
    if cursor.epoch != state.epoch:
        raise CursorEpochChanged(metadata=oldest_cursor(state))
    if cursor.position < state.floor:
        raise CursorExpired(metadata=oldest_cursor(state))
    here = state.floor_event_id if cursor.position == state.floor else state.here
    if tag_of(here) != cursor.tag or (here is None and cursor.position != 0):
        raise CursorEpochChanged(metadata=oldest_cursor(state))


def oldest_cursor(state: StreamState) -> dict[str, str]:
    """Return the metadata that names where a reader may begin, sealed for all: no caller is known here."""
    return {"oldest_cursor": written(oldest(state), state.seal, ())}


def oldest(state: StreamState) -> Cursor:
    """Return the cursor before all events that are kept."""
    return Cursor(state.epoch, state.floor, tag_of(state.floor_event_id))


def newest(state: StreamState) -> Cursor:
    """Return the cursor after all events."""
    return oldest(state) if state.head <= state.floor else Cursor(state.epoch, state.head, tag_of(state.head_event_id))


def at_event(state: StreamState, position: int, event_id: UUID) -> Cursor:
    """Return the cursor after one event."""
    return oldest(state) if position <= state.floor else Cursor(state.epoch, position, tag_of(event_id))
