"""Read the events of a followed calendar in a window: stored ones in order, with the series expanded on request."""

import asyncio
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.metrics import UNEXPECTED
from services.processor.calendar.mapping.series import Series
from services.processor.calendar.mapping.times import sort_instant
from services.processor.calendar.rows import IN_USE, StoredEvent
from services.processor.calendar.store import calendars, events
from services.processor.errors import CalendarEventNotFound, CalendarNotFollowed, CalendarNotFound

logger = structlog.get_logger(__name__)

LONGEST_WINDOW = timedelta(days=400)
PAGE_BYTES = 2 * 1024 * 1024
MAX_SERIES = 5000
"""The largest number of series that one page expands."""
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


@dataclass(frozen=True)
class EventsPage:
    """A page of events.

    Args:
        events: The events, by start and id.
        next: The place behind the page; None at the end.
    """

    events: list[pb2.CalendarEvent]
    next: Place | None


class CalendarReader:
    """Reads stored events.

    Args:
        pool: Connections to PostgreSQL; one is held only while a page is read.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool

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
        """
        bounds = (window.begin, window.end)
        async with db.connection(self._pool) as connection:
            row = await calendars.by_id(connection, calendar_id, scope)
            if row is None:
                raise CalendarNotFound(resource=calendar_id, metadata={"calendar_id": calendar_id})
            if row.state not in IN_USE:
                raise CalendarNotFollowed(subject=calendar_id, metadata={"calendar_id": calendar_id})
            found = await events.page(
                connection,
                calendar_id,
                bounds,
                (after.starts_at, after.event_id),
                limit + 1,
                PAGE_BYTES,
                with_series=not is_expanded,
            )
            series = await events.series(connection, calendar_id, bounds, MAX_SERIES) if is_expanded else []
        if series:
            # Apart from the event loop: thousands of series take a while.
            found += await asyncio.to_thread(_instances, series, window, after, limit + 1)
        return _page(found, limit)

    async def instances(
        self, series_id: str, scope: list[str] | None, window: Window, after: Place, limit: int
    ) -> EventsPage:
        """Return the instances of a series that overlap a window, behind a place.

        Raises:
            CalendarEventNotFound: There is no such series in scope.
        """
        async with db.connection(self._pool) as connection:
            event = await events.by_id(connection, series_id, scope)
            stored = {} if event is None else await events.load(connection, event.calendar_id, [series_id])
        if event is None or event.kind != pb2.EVENT_KIND_MASTER or series_id not in stored:
            raise CalendarEventNotFound(resource=series_id, metadata={"calendar_event_id": series_id})
        found = await asyncio.to_thread(_instances, [stored[series_id]], window, after, limit + 1)
        return _page(found, limit)


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


def _instances(series: Sequence[StoredEvent], window: Window, after: Place, limit: int) -> list[pb2.CalendarEvent]:
    """Return the first instances behind a place."""
    texts = {one.event.calendar_event_id: one.event.body_text for one in series}
    behind = (after.starts_at, after.event_id)
    all_instances = (one for each in series for one in _expanded(each, window) if _key(one) > behind)
    return _with_texts(heapq.nsmallest(limit, all_instances, key=_key), texts)


def _with_texts(found: list[pb2.CalendarEvent], texts: Mapping[str, str]) -> list[pb2.CalendarEvent]:
    """Give instances their series' text, in order, until they fill a page. The page ends before those without it."""
    size = 0
    for one in found:
        if one.kind == pb2.EVENT_KIND_OCCURRENCE:
            one.body_text = texts[one.series_master_id]
        size += one.ByteSize()
        if size > PAGE_BYTES:
            break
    return found


def _expanded(one: StoredEvent, window: Window) -> Iterator[pb2.CalendarEvent]:
    """Yield the instances of a series. One series that leads out of time must not hide a calendar: it ends there."""
    # Without the text: a page copies a long one only into the instances that it returns.
    master = pb2.CalendarEvent()
    master.CopyFrom(one.event)
    master.ClearField("body_text")
    series = Series.of(master, one.exceptions)
    try:
        yield from series.instances(window.begin, window.end) if series is not None else ()
    except (OverflowError, ValueError) as exc:
        UNEXPECTED.labels("calendar_series").inc()
        logger.warning("series not expanded", calendar_event_id=one.event.calendar_event_id, error=str(exc))


def _page(found: list[pb2.CalendarEvent], limit: int) -> EventsPage:
    """Return a page of events within its bounds; it has one event at least."""
    found.sort(key=_key)
    size, kept = 0, 0
    for event in found[:limit]:
        size += event.ByteSize()
        if kept and size > PAGE_BYTES:
            break
        kept += 1
    place = Place(*_key(found[kept - 1])) if kept < len(found) else None
    return EventsPage(found[:kept], place)


def _key(event: pb2.CalendarEvent) -> tuple[datetime, str]:
    return sort_instant(event.start), event.calendar_event_id
