"""Read the events of a followed calendar in a window: stored ones in order, with the series expanded on request."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter

from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.processor.calendar import occurrence
from services.processor.calendar.choice import Choice
from services.processor.calendar.conversations import add_conversations
from services.processor.calendar.errors import CalendarEventNotFound, CalendarNotFollowed, CalendarNotFound
from services.processor.calendar.instances import Budget, FirstSlots, Wanted, first_slots
from services.processor.calendar.mapping.series import Slot, slot_key
from services.processor.calendar.mapping.times import sort_instant
from services.processor.calendar.rows import IN_USE, Phase
from services.processor.calendar.store import calendars, events

LONGEST_WINDOW = timedelta(days=400)
PAGE_BYTES = 2 * 1024 * 1024
_SERIES_AT_ONCE = 500
_SERIES_BYTES = 8 * 1024 * 1024
_EXPANSIONS_AT_ONCE = 2
"""The number of pages of a process whose instances are calculated at the same time: each takes a processor."""
_READ_AT_ONCE = 200
"""The least number of events that a filtered page reads at once."""
_SEARCH_SECONDS = 2.0
"""The time after which a filtered page reads no further part."""
_NO_ID = "00000000-0000-0000-0000-000000000000"
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """A part of time.

    Args:
        begin: Its beginning.
        end: The time behind it.
    """

    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Place:
    """A place in a list of events: behind an event with this start and id."""

    starts_at: datetime = _EARLIEST
    event_id: str = _NO_ID


Entry = tuple[tuple[datetime, str], pb2.CalendarEvent | Slot]
"""The place of an event, and the event, or the instance that can become one."""


@dataclass(frozen=True)
class EventsPage:
    """A page of events.

    Args:
        events: The events, by start and id.
        next: The place behind the page; None at the end.
        places: The place behind each event.
    """

    events: list[pb2.CalendarEvent]
    next: Place | None
    places: tuple[Place, ...] = ()


class CalendarReader:
    """Reads stored events.

    Args:
        pool: Connections to PostgreSQL; one is held only while a page is read.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._expanding = asyncio.Semaphore(_EXPANSIONS_AT_ONCE)

    async def page(
        self, calendar_id: str, scope: list[str] | None, window: Window, after: Place, limit: int, *, is_expanded: bool
    ) -> EventsPage:
        """Return the events that overlap a window, behind a place.

        Args:
            calendar_id: The calendar.
            scope: The tenants; None means all.
            window: The window.
            after: The place.
            limit: The largest number of events.
            is_expanded: Whether series are replaced by their instances.

        Raises:
            CalendarNotFound: There is no such calendar in scope.
            CalendarNotFollowed: It is not followed.
            CalendarWindowTooLarge: Its series take too much work in the window.
        """
        async with db.connection(self._pool) as connection:
            row = await calendars.by_id(connection, calendar_id, scope)
            if row is None:
                raise CalendarNotFound(resource=calendar_id, metadata={"calendar_id": calendar_id})
            if row.state not in IN_USE:
                raise CalendarNotFollowed(subject=calendar_id, metadata={"calendar_id": calendar_id})
            if row.phase is Phase.CLEAR:
                return EventsPage([], None)
            found = await events.page(
                connection,
                calendar_id,
                (window.begin, window.end),
                (after.starts_at, after.event_id),
                limit + 1,
                PAGE_BYTES,
                with_series=not is_expanded,
            )
        if not is_expanded:
            return await self._with_conversations(calendar_id, _page(found, FirstSlots(), limit))
        page = await self._with_instances(found, calendar_id, _wanted(window, after, limit))
        return await self._with_conversations(calendar_id, page)

    async def chosen(
        self,
        calendar_id: str,
        scope: list[str] | None,
        window: Window,
        after: Place,
        limit: int,
        choice: Choice,
        *,
        is_expanded: bool,
    ) -> EventsPage:
        """Return the wanted events that overlap a window; see `page`.

        Events are read in parts for `_SEARCH_SECONDS`, so that a page may have fewer wanted events than its limit, or
        none, and have a next place all the same.
        """
        found = EventsPage([], after)
        read, until = max(limit, _READ_AT_ONCE), time.monotonic() + _SEARCH_SECONDS
        while found.next is not None and len(found.events) < limit:
            part = await self.page(calendar_id, scope, window, found.next, read, is_expanded=is_expanded)
            more = _joined(found, part, choice, limit)
            if more.next == found.next:
                break  # the next wanted event would make the page too large
            found = more
            if time.monotonic() >= until:
                break
        return found

    async def instances(
        self, series_id: str, scope: list[str] | None, window: Window, after: Place, limit: int
    ) -> EventsPage:
        """Return the instances of a series that overlap a window, behind a place.

        Raises:
            CalendarEventNotFound: There is no such series in scope.
            CalendarWindowTooLarge: The window takes too much work.
        """
        async with db.connection(self._pool) as connection:
            event = await events.by_id(connection, series_id, scope)
            stored = {} if event is None else await events.load(connection, event.calendar_id, [series_id])
        if event is None or event.kind != pb2.EVENT_KIND_MASTER or series_id not in stored:
            raise CalendarEventNotFound(resource=series_id, metadata={"calendar_event_id": series_id})
        wanted, budget = _wanted(window, after, limit), Budget(event.calendar_id)
        async with self._expanding:
            first = await asyncio.to_thread(first_slots, FirstSlots(), [stored[series_id]], wanted, budget)
        return await self._with_conversations(event.calendar_id, _page([], first, limit))

    async def occurrence(self, series_id: str, original_start: str, scope: list[str] | None) -> pb2.CalendarEvent:
        """Return an occurrence of a series, changed or not. Raises as `occurrence.find`."""
        found = (await occurrence.find(self._pool, series_id, original_start, scope)).event
        async with db.connection(self._pool) as connection:
            await add_conversations(connection, found.calendar_id, [found])
        return found

    async def _with_conversations(self, calendar_id: str, page: EventsPage) -> EventsPage:
        if page.events:
            async with db.connection(self._pool) as connection:
                await add_conversations(connection, calendar_id, page.events)
        return page

    async def _with_instances(self, found: list[pb2.CalendarEvent], calendar_id: str, wanted: Wanted) -> EventsPage:
        """Return a page of single events and of instances; the series are read in parts, however many there are."""
        first, last_id = FirstSlots(), _NO_ID
        async with self._expanding:
            budget = Budget(calendar_id)
            while last_id:
                async with db.connection(self._pool) as connection:
                    series, last_id = await events.series(
                        connection, calendar_id, (wanted.begin, wanted.end), last_id, _SERIES_AT_ONCE, _SERIES_BYTES
                    )
                # Apart from the event loop: hundreds of series take a while.
                first = await asyncio.to_thread(first_slots, first, series, wanted, budget)
        return _page(found, first, wanted.limit)


def window_of(begin: Timestamp, end: Timestamp) -> Window:
    """Return the window of a request.

    Raises:
        FieldInvalid: A time is missing or out of range, or the window is empty or too long.
    """
    window = Window(_time("window_start", begin), _time("window_end", end))
    if not timedelta() <= window.end - window.begin <= LONGEST_WINDOW:
        raise FieldInvalid.of("window_end", f"must be 0 to {LONGEST_WINDOW.days} days after window_start")
    return window


def _time(field: str, given: Timestamp) -> datetime:
    try:
        moment = given.ToDatetime(UTC)
    except (ValueError, OverflowError) as exc:
        raise FieldInvalid.of(field, "must be a time") from exc
    if not 1900 <= moment.year <= 2200 or not given.ByteSize():  # noqa: PLR2004 - what zones and rules can shift
        raise FieldInvalid.of(field, "must be a time between 1900 and 2200")
    return moment


def _wanted(window: Window, after: Place, limit: int) -> Wanted:
    return Wanted(window.begin, window.end, (after.starts_at, after.event_id), limit, PAGE_BYTES)


def _page(found: list[pb2.CalendarEvent], first: FirstSlots, limit: int) -> EventsPage:
    """Return a page of events within its bounds; it has one event at least.

    Where the instances are cut, it ends with the last of them, since unknown instances may precede later events.
    """
    entries: list[Entry] = [(_key(event), event) for event in found]
    entries += [(slot_key(slot), slot) for slot in first.slots]
    entries.sort(key=itemgetter(0))
    if first.is_cut:
        last = slot_key(first.slots[-1])
        entries = [entry for entry in entries if entry[0] <= last]
    kept = _fitting(entries[:limit])
    has_more = first.is_cut or len(kept) < len(entries)
    places = tuple(Place(*place) for place, _ in entries[: len(kept)])
    return EventsPage(kept, places[-1] if has_more else None, places)


def _joined(found: EventsPage, part: EventsPage, choice: Choice, limit: int) -> EventsPage:
    """Return a page with the wanted events of a further part, within the bounds of a page."""
    events, size = list(found.events), sum(event.ByteSize() for event in found.events)
    last = found.next
    for event, place in zip(part.events, part.places, strict=True):
        if choice.fits(event):
            size += event.ByteSize()
            if len(events) >= limit or (events and size > PAGE_BYTES):
                return EventsPage(events, last)
            events.append(event)
        last = place
    return EventsPage(events, part.next)


def _fitting(entries: Sequence[Entry]) -> list[pb2.CalendarEvent]:
    """Return the events that fill a page, one at least; instances are made only for it."""
    size = 0
    kept: list[pb2.CalendarEvent] = []
    for _, entry in entries:
        event = entry.event() if isinstance(entry, Slot) else entry
        size += event.ByteSize()
        if kept and size > PAGE_BYTES:
            break
        kept.append(event)
    return kept


def _key(event: pb2.CalendarEvent) -> tuple[datetime, str]:
    return sort_instant(event.start), event.calendar_event_id
