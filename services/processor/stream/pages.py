"""Read pages of the stream: resolve a cursor, check that it is still valid, and return the events after it."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeAlias

import asyncpg
import structlog

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.processor.stream.contents import open_part
from services.processor.stream.cursor import Cursor, read_cursor, tag_of
from services.processor.stream.cursor_seal import CursorSeal, is_sealed, written
from services.processor.stream.ends import at_event, check, newest, oldest, oldest_cursor
from services.processor.stream.errors import CursorEpochChanged, EventNotFound, SealBroken
from services.processor.stream.filter import Selection
from services.processor.stream.metrics import SEALS_BROKEN
from services.processor.stream.serialization import KIND_ERASED, Identity, is_known, join
from services.processor.stream.settled import settled
from services.processor.stream.store.event_reader import (
    StreamState,
    find,
    last_before,
    load,
    look,
    stream_state,
)

logger = structlog.get_logger(__name__)

EARLIEST = "earliest"
LATEST = "latest"
PAGE_BYTES = 2 * 1024 * 1024
_LOOK_ROWS = 1000
_MERGED_ROWS = 4000
_LOOK_SECONDS = 0.006
"""The time after which a page stops searching for events that match its filter, in seconds. It may end empty."""
_EVENT_OVERHEAD_BYTES = 256
_FIRST_MOMENT, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

EventView: TypeAlias = "event_pb2.EventView.ValueType"


@dataclass(frozen=True)
class Page:
    """A page of the stream.

    Args:
        events: The events, in order.
        next: The cursor after the last row that was examined.
        has_more: Whether there may be further events already.
        is_settled: Whether no publisher was under way. Not each of them notifies of its events.
    """

    events: list[event_pb2.Event]
    next: Cursor
    has_more: bool
    is_settled: bool = True


class EventReader:
    """Reads events.

    Args:
        pool: Connections to PostgreSQL; one is held only while a page is read.
        page_bytes: The size at which a page ends, in bytes of serialized messages.
    """

    def __init__(self, pool: db.Pool, page_bytes: int = PAGE_BYTES) -> None:
        self._pool = pool
        self._page_bytes = page_bytes
        self._seal: CursorSeal | None = None

    async def start(self, value: str, default: str, field: str = "cursor") -> Cursor:
        """Resolve the start of a reader.

        Args:
            value: A cursor, "earliest", "latest", or empty.
            default: The meaning of an empty value.
            field: The request's field, for errors.

        Raises:
            CursorInvalid: mailmesh did not issue the cursor.
            CursorExpired: Retention has dropped some of the events after it.
            CursorEpochChanged: The store was restored since.
        """
        word = value or default
        if word == LATEST:
            async with settled(self._pool, 0) as (_, state):
                self._seal = state.seal
                return newest(state)
        must_open = is_sealed(word)
        given = None if word == EARLIEST or must_open else read_cursor(word, field)
        async with db.connection(self._pool) as connection:
            if must_open:
                given = await self._opened(connection, word, field)
            state = await stream_state(connection, given.position if given else 0)
        self._seal = state.seal
        if given is None:
            return oldest(state)
        check(given, state)
        return given

    def written(self, cursor: Cursor, scope: Collection[str] | None) -> str:
        """Return a cursor as a reader gets it; see `cursor_seal.written`. The seal is the one that was read last."""
        return written(cursor, self._seal, scope)

    async def _opened(self, connection: db.Connection, word: str, field: str) -> Cursor:
        if self._seal is not None and self._seal.has_sealed(word):
            return self._seal.read(word, field)
        state = await stream_state(connection, 0)
        if state.seal is None or not state.seal.has_sealed(word):
            raise CursorEpochChanged(metadata=oldest_cursor(state))
        return state.seal.read(word, field)

    async def before(self, moment: datetime) -> Cursor:
        """Return the cursor before the events that came into the stream at a time or later, or the oldest one."""
        # Positions are microseconds since 1970, and grow faster only while more than one event comes in each of them.
        position = (moment - _FIRST_MOMENT) // _MICROSECOND
        async with settled(self._pool, 0) as (connection, state):
            self._seal = state.seal
            last = await last_before(connection, position)
        if last is None:
            return oldest(state)
        if last["position"] > state.head:
            return newest(state)
        return at_event(state, last["position"], last["event_id"])

    async def count(self, start: Cursor, selection: Selection, most: int, seconds: float) -> tuple[int, bool]:
        """Count the events after a cursor that a reader gets, in parts of the stream, up to a number and a time.

        Args:
            start: The cursor.
            selection: The events that are counted.
            most: The number at which counting ends.
            seconds: The time after which counting ends: a rare type may be far behind a long stream.

        Returns:
            The number, and whether all events were examined.
        """
        ends_at, counted, after = time.monotonic() + seconds, 0, start.position
        while counted < most and time.monotonic() < ends_at:
            async with settled(self._pool, after) as (connection, state):
                window = await look(connection, selection, after, state.head, _LOOK_ROWS)
            counted += len(window.chosen)
            if window.is_end or window.last is None:
                return min(counted, most), counted <= most
            after = window.last["position"]
        return min(counted, most), False

    async def page(self, start: Cursor, selection: Selection, view: EventView, count: int) -> Page:
        """Return the events after a cursor.

        Args:
            start: The cursor.
            selection: The events that the reader gets.
            view: The parts of each event.
            count: The largest number of events.

        Raises:
            CursorExpired: Retention has dropped some of the events after the cursor.
            CursorEpochChanged: The store was restored since.
            StoreUnavailable: PostgreSQL cannot be reached.
        """
        async with settled(self._pool, start.position) as (connection, state):
            self._seal = state.seal
            check(start, state)
            found = await self._look(connection, start, state, selection, view, count)
            rows = await load(
                connection,
                selection,
                found.positions,
                with_body=view in (event_pb2.EVENT_VIEW_BODY, event_pb2.EVENT_VIEW_FULL),
                with_raw=view == event_pb2.EVENT_VIEW_FULL,
            )
        known = [row for row in rows if _is_readable(row)]
        has_more, is_settled = found.end.position < state.head, not state.under_way
        return Page(_events(known, state.epoch, view), found.end, has_more, is_settled)

    async def event(self, event_id: str, scope: list[str] | None, view: EventView) -> event_pb2.Event:
        """Return one event. Its cursor is an earlier one while an event of a publisher under way may precede it.

        That one is of another's event, so a reader that may not see all tenants gets it sealed.

        Raises:
            EventNotFound: No event in scope has this id.
            SealBroken: Its sealed content does not open.
            ContentKeyUnavailable: This process has not got the tenant's key yet.
        """
        async with settled(self._pool, 0) as (connection, state):
            self._seal = state.seal
            row = await find(connection, scope, event_id)
        if row is None or row["position"] <= state.floor or not _is_readable(row):
            raise EventNotFound(resource=event_id)
        earlier = self.written(newest(state), scope) if row["position"] > state.head else ""
        return _event(row, state.epoch, view, earlier)

    async def at(self, tenant_id: str, positions: Sequence[int]) -> dict[int, event_pb2.Event]:
        """Return those events of a tenant at positions that are still kept, with bodies, by their positions."""
        async with db.connection(self._pool) as connection:
            state = await stream_state(connection, 0)
            kept = sorted(position for position in positions if position > state.floor)
            rows = await load(
                connection, Selection(tenants=frozenset((tenant_id,))), kept, with_body=True, with_raw=False
            )
        known = [row for row in rows if _is_readable(row)]
        events = _events(known, state.epoch, event_pb2.EVENT_VIEW_BODY)
        return {read_cursor(event.position).position: event for event in events}

    async def _look(
        self,
        connection: db.Connection,
        start: Cursor,
        state: StreamState,
        selection: Selection,
        view: EventView,
        count: int,
    ) -> "_Found":
        found, ends_at = _Found(start, state, self._page_bytes), time.monotonic() + _LOOK_SECONDS
        rows = count + 1
        while len(found.positions) < count:
            window = await look(connection, selection, found.end.position, state.head, rows)
            if not found.take(window.chosen, view, count):
                break
            if window.is_end or window.last is None:
                found.reach(newest(state))
                break
            found.move(window.last)
            if time.monotonic() > ends_at:
                break
            rows = _next_look(rows, len(window.chosen), count - len(found.positions), selection)
        return found


def _next_look(looked_at: int, chosen: int, wanted: int, selection: Selection) -> int:
    """Return the number of rows to examine next, estimated from the rows examined before."""
    enough = wanted * looked_at * 5 // (max(chosen, 1) * 4) + 1
    # Each tenant's index returns that many rows, and most of them are discarded.
    tenants = selection.tenants if selection.is_merged else None
    return min(enough, _LOOK_ROWS, _MERGED_ROWS // max(len(tenants or ()), 1))


class _Found:
    """A page that is being filled."""

    def __init__(self, start: Cursor, state: StreamState, page_bytes: int) -> None:
        self.positions: list[int] = []
        self.end = start
        self._epoch = state.epoch
        self._bytes_left = page_bytes

    def take(self, rows: Sequence[asyncpg.Record], view: EventView, count: int) -> bool:
        """Add rows until the page is full; return whether all were added. The first row is always added."""
        for row in rows:
            self._bytes_left -= _size(row, view)
            if self.positions and (self._bytes_left < 0 or len(self.positions) >= count):
                return False
            self.positions.append(row["position"])
            self.move(row)
        return True

    def reach(self, end: Cursor) -> None:
        """Note that everything up to a cursor was examined. The reader may be beyond it."""
        if end.position > self.end.position:
            self.end = end

    def move(self, row: asyncpg.Record) -> None:
        """Note that everything up to a row was examined."""
        self.end = Cursor(self._epoch, row["position"], tag_of(row["event_id"]))


def _size(row: asyncpg.Record, view: EventView) -> int:
    size: int = row["basic_size"] + _EVENT_OVERHEAD_BYTES
    if view in (event_pb2.EVENT_VIEW_BODY, event_pb2.EVENT_VIEW_FULL):
        size += row["body_size"]
    return size + (row["raw_size"] if view == event_pb2.EVENT_VIEW_FULL else 0)


def _is_readable(row: asyncpg.Record) -> bool:
    """Return whether this release can read an event. Readers skip others, which a later release has published."""
    if not is_known(row["kind"]):
        if row["kind"] != KIND_ERASED:
            _log_unknown(row["kind"])
        return False
    return True


@cache
def _log_unknown(kind: int) -> None:
    """Log an unknown kind once for each process."""
    logger.warning("events of an unknown kind are skipped", kind=kind)


def _events(rows: Sequence[asyncpg.Record], epoch: bytes, view: EventView) -> list[event_pb2.Event]:
    """Return the events of rows that open. One that does not open is reported, and stops no reader of the others.

    Raises:
        ContentKeyUnavailable: This process has not got a tenant's key yet: the reader repeats the page.
    """
    events = []
    for row in rows:
        try:
            events.append(_event(row, epoch, view))
        except SealBroken:
            SEALS_BROKEN.inc()
            logger.error(  # noqa: TRY400 - the error says no more than the ids
                "an event's seal is broken", tenant_id=str(row["tenant_id"]), event_id=str(row["event_id"])
            )
    return events


def _event(
    row: asyncpg.Record, epoch: bytes, view: EventView = event_pb2.EVENT_VIEW_FULL, cursor: str = ""
) -> event_pb2.Event:
    parts = [open_part(row, "basic")]
    if view in (event_pb2.EVENT_VIEW_BODY, event_pb2.EVENT_VIEW_FULL):
        parts.append(open_part(row, "body"))
    if view == event_pb2.EVENT_VIEW_FULL:
        parts.append(open_part(row, "raw"))
    position = cursor or Cursor(epoch, row["position"], tag_of(row["event_id"])).write()
    return join(row["kind"], parts, Identity(row["event_id"], row["replay_id"], row["original_event_id"], position))
