"""Read the present version of each event that a page of changes names: pages have stubs and unproven deletions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from mailmesh.calendar.v1 import calendar_pb2
from services.processor.calendar.ids import event_uuid
from services.processor.calendar.mapping.fields import objects, text
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents, UnreadableEventError
from services.processor.calendar.mapping.series import day_in_series
from services.processor.calendar.rows import SeenEvent, Unread
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.provider_http import JSON
from services.providers.failures import Meaning

logger = structlog.get_logger(__name__)

FAILED_READINGS = 5
EXCEPTIONS = "exceptionOccurrences"
_WHOLE = frozenset({"subject", "start", "end", "isAllDay", "attendees", "changeKey"})
"""The members that a stub of an event lacks."""
MALFORMED = "MESSAGE_UNREADABLE"
_INSTANCES = frozenset({"occurrence", "exception"})
_MASTER = "seriesmaster"


class EventSource(Protocol):
    """The calls of a source that a fetcher makes."""

    async def event(self, calendar_id: str, event_id: str) -> JSON | None:
        """Read one event, a series with its changed and deleted instances; None when the calendar does not have it."""

    async def has_calendar(self, calendar_id: str) -> bool:
        """Return whether the calendar can be read."""


@dataclass(frozen=True)
class EventFetcher:
    """Reads events of one calendar.

    Args:
        source: The account's calendars at the provider.
        provider_calendar_id: The provider's id of the calendar.
        calendar: The facts that its events carry.
        failures: The failed readings of the calendar in a row. From `FAILED_READINGS` on, an event that cannot
            be read is left out, so that it does not stop the others; the next complete round tries it again.
    """

    source: EventSource
    provider_calendar_id: str
    calendar: CalendarOfEvents
    failures: int = 0

    async def seen(self, entries: Sequence[JSON]) -> list[SeenEvent]:
        """Return the present versions of the entries' events, each once. An instance stands for its series.

        Raises:
            SourceError: An event could not be read.
        """
        whole: dict[str, JSON | None] = {}
        for entry in entries:
            kind, series = text(entry, "type").lower(), text(entry, "seriesMasterId")
            provider_id = series if kind in _INSTANCES and series else text(entry, "id")
            if provider_id:
                is_enough = "@removed" not in entry and kind not in (*_INSTANCES, _MASTER) and is_whole(entry)
                whole[provider_id] = entry if is_enough else None
        return [await self.one(provider_id, entry) for provider_id, entry in whole.items()]

    async def whole(self, entries: Sequence[JSON]) -> list[SeenEvent]:
        """See `source.Fetcher`. Graph's rounds are not stored: one reading of a series has all its parts."""
        return await self.seen(entries)

    async def one(self, provider_id: str, entry: JSON | None = None) -> SeenEvent:
        """Return the present version of an event; of one that cannot be read, the cause.

        Args:
            provider_id: The provider's id.
            entry: The event, where a page had all of it.

        Raises:
            SourceError: It could not be read, and is worth another attempt; or the calendar cannot be read.
        """
        try:
            found = entry or await self.source.event(self.provider_calendar_id, provider_id)
        except SourceError as exc:
            await check_left_out(self.source, self.provider_calendar_id, self.failures, exc)
            return unread_event(Unread(event_uuid(self.calendar.calendar_id, provider_id), exc.reason, exc.detail))
        if found is not None and text(found, "type").lower() in _INSTANCES and text(found, "seriesMasterId"):
            # A removed instance that is there after all: its series has it.
            return await self.one(text(found, "seriesMasterId"))
        event_id = event_uuid(self.calendar.calendar_id, provider_id)
        if found is None:
            return SeenEvent(event_id, None)
        try:
            event = map_event(found, self.calendar)
        except UnreadableEventError as exc:
            logger.warning("calendar event not readable", calendar_id=self.calendar.calendar_id, error=str(exc))
            return unread_event(Unread(event_id, MALFORMED, str(exc)))
        exceptions, unread = await self._exceptions(found, event)
        return SeenEvent(event.calendar_event_id, event, exceptions, unread)

    async def _exceptions(
        self, master: JSON, series: pb2.CalendarEvent
    ) -> tuple[dict[str, pb2.CalendarEvent], list[Unread]]:
        found, unread = {}, []
        for one in exceptions_of(master):
            event_id = event_uuid(self.calendar.calendar_id, text(one, "id"))
            try:
                event = await self._exception(one)
                found[day_in_series(series, event.original_start).isoformat()] = event
            except ValueError as exc:
                logger.warning("changed instance not readable", calendar_id=self.calendar.calendar_id, error=str(exc))
                unread.append(Unread(event_id, MALFORMED, str(exc)))
            except SourceError as exc:
                await check_left_out(self.source, self.provider_calendar_id, self.failures, exc)
                unread.append(Unread(event_id, exc.reason, exc.detail))
        return found, unread

    async def _exception(self, found: JSON) -> pb2.CalendarEvent:
        """Return a changed instance with its original start, which only `$select` brings."""
        event = map_event(found, self.calendar)
        if not event.HasField("original_start"):
            asked = await self.source.event(self.provider_calendar_id, event.provider_event_id)
            event = event if asked is None else map_event(asked, self.calendar)
        if not event.HasField("original_start"):
            event.original_start.CopyFrom(event.start)
        return event


def facts_of(calendar_id: str, info: calendar_pb2.Calendar, own_address: str) -> CalendarOfEvents:
    """Return the facts of a calendar that its events carry."""
    facts, owner_address = CalendarOfEvents(calendar_id, zone=info.time_zone), info.owner_address
    is_shared = bool(owner_address) and owner_address.lower() != own_address.lower()
    return replace(facts, delegate_email=owner_address) if is_shared else facts


class CalendarProof(Protocol):
    """The call that distinguishes a refusal of one event from a refusal of its calendar."""

    async def has_calendar(self, calendar_id: str) -> bool:
        """Return whether the calendar can be read. Raises `SourceError` when it is refused."""


async def check_left_out(source: CalendarProof, calendar_id: str, failures: int, error: SourceError) -> None:
    """Make sure that a failure concerns one event for good.

    A refusal is believed for the whole calendar only when the calendar itself is refused too.

    Args:
        source: The account's calendars.
        calendar_id: The provider's id of the calendar.
        failures: The failed readings of the calendar in a row.
        error: The failure.

    Raises:
        SourceError: The calendar has to be read again, or is refused.
    """
    if not error.status or error.remedy is Remedy.THROTTLED:
        raise error
    if error.meaning is Meaning.FORBIDDEN:
        await source.has_calendar(calendar_id)
    elif failures < FAILED_READINGS:
        raise error
    logger.warning("calendar event left out", detail=error.detail)


def unread_event(unread: Unread) -> SeenEvent:
    """Return the version of an event that could not be read."""
    return SeenEvent(unread.event_id, None, unread=(unread,))


def is_whole(entry: JSON) -> bool:
    """Return whether an entry of a page is the event itself and not a stub of it."""
    return entry.keys() >= _WHOLE


def exceptions_of(master: JSON) -> list[JSON]:
    """Return the changed instances of a series that was read by `event`."""
    return objects(master, EXCEPTIONS)
