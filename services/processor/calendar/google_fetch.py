"""Put series together from Google's entries: a series and each of its changed or cancelled instances come apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import structlog

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.fetch import MALFORMED, check_left_out, unread_event
from services.processor.calendar.ids import event_uuid
from services.processor.calendar.mapping.fields import member, text
from services.processor.calendar.mapping.google_event import lines_of, map_event, time_of
from services.processor.calendar.mapping.google_rules import left_out
from services.processor.calendar.mapping.parts import MAX_CANCELLED, CalendarOfEvents, UnreadableEventError
from services.processor.calendar.mapping.series import day_in_series
from services.processor.calendar.rows import SeenEvent, StoredEvent, Unread
from services.processor.calendar.source import Known
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.provider_http import JSON

logger = structlog.get_logger(__name__)

_CANCELLED = "cancelled"


class EventSource(Protocol):
    """The calls of a source that a fetcher makes."""

    async def event(self, calendar_id: str, event_id: str) -> JSON | None:
        """Read one event; None when the calendar does not have it."""

    async def has_calendar(self, calendar_id: str) -> bool:
        """Return whether the calendar can be read."""


@dataclass
class _Parts:
    """The entries of a page that concern one series or single event.

    Args:
        whole: The series or event itself, where the page has it.
        instances: Its changed and cancelled instances by id, the last version of each.
    """

    whole: JSON | None = None
    instances: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class GoogleFetcher:
    """Finds present versions of events of one calendar; implements `source.Fetcher`.

    Args:
        source: The account's calendars at Google.
        provider_calendar_id: Google's id of the calendar.
        calendar: The facts that its events carry.
        failures: See `CalendarSource.fetcher`.
        known: Reads stored events, whose changed instances stay when the entries do not name them.
    """

    source: EventSource
    provider_calendar_id: str
    calendar: CalendarOfEvents
    failures: int
    known: Known

    async def seen(self, entries: Sequence[JSON]) -> list[SeenEvent]:
        """See `Fetcher.seen`."""
        parts = _parts_of(entries)
        known = await self.known([event_uuid(self.calendar.calendar_id, one) for one in parts])
        return await self._all(parts, known)

    async def whole(self, entries: Sequence[JSON]) -> list[SeenEvent]:
        """See `Fetcher.whole`."""
        return await self._all(_parts_of(entries), {})

    async def one(self, provider_id: str) -> SeenEvent:
        """See `Fetcher.one`."""
        event_id = event_uuid(self.calendar.calendar_id, provider_id)
        try:
            found = await self.source.event(self.provider_calendar_id, provider_id)
        except SourceError as exc:
            await check_left_out(self.source, self.provider_calendar_id, self.failures, exc)
            return unread_event(Unread(event_id, exc.reason, exc.detail))
        if found is None:
            return SeenEvent(event_id, None)
        (seen, *_) = await self.seen([found])
        return seen

    async def _all(self, parts: Mapping[str, _Parts], known: Mapping[str, StoredEvent]) -> list[SeenEvent]:
        found: list[SeenEvent] = []
        for provider_id, one in parts.items():
            stored = known.get(event_uuid(self.calendar.calendar_id, provider_id))
            is_series = stored is not None and not stored.is_deleted and stored.event.kind == pb2.EVENT_KIND_MASTER
            found += await self._together(provider_id, one, stored if is_series else None)
        return found

    async def _together(self, provider_id: str, parts: _Parts, stored: StoredEvent | None) -> list[SeenEvent]:
        """Return the version of a series or event; without its series, each instance stands for itself."""
        event_id = event_uuid(self.calendar.calendar_id, provider_id)
        whole = parts.whole
        if whole is None and stored is None:
            try:
                whole = await self.source.event(self.provider_calendar_id, provider_id)
            except SourceError as exc:
                await check_left_out(self.source, self.provider_calendar_id, self.failures, exc)
                return [unread_event(Unread(event_id, exc.reason, exc.detail))]
            if whole is None:
                # An account that is invited to one instance alone has no series.
                return [self._alone(one) for one in parts.instances.values()]
        if whole is not None and text(whole, "status") == _CANCELLED:
            return [SeenEvent(event_id, None)]
        try:
            event = pb2.CalendarEvent() if whole is None else map_event(whole, self.calendar)
        except UnreadableEventError as exc:
            self._warn(exc)
            return [unread_event(Unread(event_id, MALFORMED, str(exc)))]
        if whole is None and stored is not None:
            event.CopyFrom(stored.event)
        return [self._series(event, stored, parts.instances.values())]

    def _series(self, event: pb2.CalendarEvent, stored: StoredEvent | None, instances: Iterable[JSON]) -> SeenEvent:
        """Return a series with the stored and the new instances; an event without a rule has none."""
        if event.kind != pb2.EVENT_KIND_MASTER:
            return SeenEvent(event.calendar_event_id, event)
        exceptions = {} if stored is None else dict(stored.exceptions)
        cancelled = set() if stored is None else _cancelled_alone(stored.event)
        unread: list[Unread] = []
        for one in instances:
            try:
                self._take(one, event, exceptions, cancelled)
            except ValueError as exc:
                self._warn(exc)
                unread.append(Unread(event_uuid(self.calendar.calendar_id, text(one, "id")), MALFORMED, str(exc)))
        days = sorted(cancelled | left_out(lines_of(event), event.recurrence.iana_zone))
        del event.cancelled_dates[:]
        event.cancelled_dates.extend(days[-MAX_CANCELLED:])
        event.truncation.are_cancelled_dates_cut = len(days) > MAX_CANCELLED
        if not event.truncation.ByteSize():
            event.ClearField("truncation")
        return SeenEvent(event.calendar_event_id, event, _until_the_end(event, exceptions), unread)

    def _take(
        self, one: JSON, series: pb2.CalendarEvent, exceptions: dict[str, pb2.CalendarEvent], cancelled: set[str]
    ) -> None:
        """Take an instance into the series. One that is cancelled stays so for the life of the series."""
        original = time_of(member(one, "originalStartTime"), self.calendar)
        day = day_in_series(series, original).isoformat()
        if text(one, "status") == _CANCELLED:
            cancelled.add(day)
            exceptions.pop(day, None)
            return
        exceptions[day] = map_event(one, self.calendar)
        cancelled.discard(day)

    def _alone(self, one: JSON) -> SeenEvent:
        event_id = event_uuid(self.calendar.calendar_id, text(one, "id"))
        if text(one, "status") == _CANCELLED:
            return SeenEvent(event_id, None)
        try:
            return SeenEvent(event_id, map_event(one, self.calendar))
        except UnreadableEventError as exc:
            self._warn(exc)
            return unread_event(Unread(event_id, MALFORMED, str(exc)))

    def _warn(self, error: ValueError) -> None:
        logger.warning("calendar event not readable", calendar_id=self.calendar.calendar_id, error=str(error))


def _parts_of(entries: Sequence[JSON]) -> dict[str, _Parts]:
    """Return the entries by the id of their series or single event; the last version of each counts."""
    found: dict[str, _Parts] = {}
    for entry in entries:
        own, series = text(entry, "id"), text(entry, "recurringEventId")
        if not own:
            continue
        parts = found.setdefault(series or own, _Parts())
        if series:
            parts.instances[own] = entry
        else:
            parts.whole = entry
    return found


def _cancelled_alone(series: pb2.CalendarEvent) -> set[str]:
    """Return the days of instances that were cancelled apart from the series' own `EXDATE`."""
    return set(series.cancelled_dates) - left_out(lines_of(series), series.recurrence.iana_zone)


def _until_the_end(
    series: pb2.CalendarEvent, exceptions: Mapping[str, pb2.CalendarEvent]
) -> dict[str, pb2.CalendarEvent]:
    """Return the changed instances that lie in the series: "this and following" ends it, and a new one goes on."""
    last = series.recurrence.until_date or date.max.isoformat()
    return {day: one for day, one in exceptions.items() if day <= last}
