"""CalendarService: callers read, follow and change calendars here."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from mailmesh.processor.v1.calendar_service_pb2_grpc import CalendarServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, is_time, page_size
from services.processor.calendar.choice import choice_of
from services.processor.calendar.errors import CalendarEventNotFound
from services.processor.calendar.free_busy.asking import FreeBusy
from services.processor.calendar.free_busy.query import query_of
from services.processor.calendar.meetings import MeetingCounter, days_zone
from services.processor.calendar.reading import CalendarReader, window_of
from services.processor.calendar.reading import Place as ListPlace
from services.processor.calendar.requests import Calendars
from services.processor.calendar.versions import EventVersions
from services.processor.calendar.writing.requests import CalendarWrites
from services.processor.messages.reading.reads import Place, Reads
from services.processor.servicers.places import scope_within
from services.processor.stream.cursor import is_cursor
from services.processor.stream.filter import scope_of
from services.providers.abilities import CALENDAR_READ

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_FREE_BUSY = " free/busy"


class CalendarServicer(Base):
    """Answers CalendarService.

    Args:
        calendars: The use cases.
        reader: The reader of events.
        writes: The use cases of writes.
        reads: Gives access to accounts for calls that read at the provider.
        free_busy: Asks for free and busy times.
        versions: Reads the versions of conversations' events.
        meetings: Counts meetings.
    """

    def __init__(
        self,
        calendars: Calendars,
        reader: CalendarReader,
        writes: CalendarWrites,
        reads: Reads,
        free_busy: FreeBusy,
        versions: EventVersions,
        meetings: MeetingCounter,
    ) -> None:
        self._versions = versions
        self._meetings = meetings
        self._calendars = calendars
        self._reader = reader
        self._writes = writes
        self._reads = reads
        self._free_busy = free_busy
        self._write_tokens = PageTokens(columns=(is_row_id,))
        self._calendar_tokens = PageTokens(columns=(is_row_id,))
        self._event_tokens = PageTokens(columns=(is_time, is_row_id))
        self._version_tokens = PageTokens(columns=(is_cursor,))

    @override
    async def ListCalendars(self, request: pb2.ListCalendarsRequest, context: "Context") -> pb2.ListCalendarsResponse:
        """Return a page of a tenant's calendars."""
        tenant_id, size = check_id("tenant_id", request.tenant_id), page_size(request.page_size)
        position = self._calendar_tokens.read(request)
        after = None if position is None else str(position[0])
        is_in_scope = current_caller().may_see(tenant_id)
        found = await self._calendars.page(tenant_id, after, size, is_in_scope=is_in_scope)
        last: Position | None = [found.rows[-1].calendar_id] if found.has_more else None
        response = pb2.ListCalendarsResponse(
            calendars=[row.message() for row in found.rows],
            next_page_token=self._calendar_tokens.write(request, last),
        )
        response.read_at.FromDatetime(found.read_at)
        return response

    @override
    async def FollowCalendar(
        self, request: pb2.FollowCalendarRequest, context: "Context"
    ) -> pb2.FollowCalendarResponse:
        """Begin to follow a calendar."""
        row = await self._calendars.follow(check_id("calendar_id", request.calendar_id), scope_of(current_caller()))
        return pb2.FollowCalendarResponse(calendar=row.message())

    @override
    async def UnfollowCalendar(
        self, request: pb2.UnfollowCalendarRequest, context: "Context"
    ) -> pb2.UnfollowCalendarResponse:
        """End the following of a calendar."""
        row = await self._calendars.unfollow(check_id("calendar_id", request.calendar_id), scope_of(current_caller()))
        return pb2.UnfollowCalendarResponse(calendar=row.message())

    @override
    async def ListCalendarEvents(
        self, request: pb2.ListCalendarEventsRequest, context: "Context"
    ) -> pb2.ListCalendarEventsResponse:
        """Return a page of a calendar's events."""
        calendar_id, size = check_id("calendar_id", request.calendar_id), page_size(request.page_size)
        window = window_of(request.window_start, request.window_end)
        after = _place(self._event_tokens.read(request))
        choice, scope = choice_of(request), scope_of(current_caller())
        if choice.is_all:
            page = await self._reader.page(calendar_id, scope, window, after, size, is_expanded=request.is_expanded)
        else:
            page = await self._reader.chosen(
                calendar_id, scope, window, after, size, choice, is_expanded=request.is_expanded
            )
        token = self._event_tokens.write(request, _position(page.next))
        return pb2.ListCalendarEventsResponse(events=page.events, next_page_token=token)

    @override
    async def ListCalendarEventVersions(
        self, request: pb2.ListCalendarEventVersionsRequest, context: "Context"
    ) -> pb2.ListCalendarEventVersionsResponse:
        """Return a page of the versions of a conversation's events."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        conversation_id, size = check_id("conversation_id", request.conversation_id), page_size(request.page_size)
        position = self._version_tokens.read(request)
        cursor, is_in_scope = "" if position is None else str(position[0]), current_caller().may_see(tenant_id)
        page = await self._versions.page(tenant_id, conversation_id, cursor, size, is_in_scope=is_in_scope)
        present = await self._versions.present(tenant_id, conversation_id) if position is None else []
        token = self._version_tokens.write(request, [page.next] if page.next else None)
        return pb2.ListCalendarEventVersionsResponse(events=present, versions=page.versions, next_page_token=token)

    @override
    async def CountMeetings(self, request: pb2.CountMeetingsRequest, context: "Context") -> pb2.CountMeetingsResponse:
        """Count the meetings of a tenant's calendars."""
        tenant_id, zone = check_id("tenant_id", request.tenant_id), days_zone(request.time_zone)
        calendar_id = check_id("calendar_id", request.calendar_id) if request.calendar_id else ""
        window, is_in_scope = window_of(request.window_start, request.window_end), current_caller().may_see(tenant_id)
        counted = await self._meetings.count(tenant_id, calendar_id, window, zone, is_in_scope=is_in_scope)
        counts = [
            pb2.MeetingCount(date=day, online_meeting_provider=kind, meetings=number)
            for (day, kind), number in sorted(counted.items())
        ]
        return pb2.CountMeetingsResponse(counts=counts)

    @override
    async def GetCalendarEvent(
        self, request: pb2.GetCalendarEventRequest, context: "Context"
    ) -> pb2.GetCalendarEventResponse:
        """Return one event."""
        event_id = check_id("calendar_event_id", request.calendar_event_id)
        if request.original_start:
            found = await self._reader.occurrence(event_id, request.original_start, scope_of(current_caller()))
            return pb2.GetCalendarEventResponse(event=found)
        event = await self._calendars.event(event_id, scope_of(current_caller()))
        if event is None:
            raise CalendarEventNotFound(resource=event_id, metadata={"calendar_event_id": event_id})
        return pb2.GetCalendarEventResponse(event=event)

    @override
    async def ListCalendarInstances(
        self, request: pb2.ListCalendarInstancesRequest, context: "Context"
    ) -> pb2.ListCalendarInstancesResponse:
        """Return a page of a series' instances."""
        event_id, size = check_id("calendar_event_id", request.calendar_event_id), page_size(request.page_size)
        window = window_of(request.window_start, request.window_end)
        after = _place(self._event_tokens.read(request))
        page = await self._reader.instances(event_id, scope_of(current_caller()), window, after, size)
        token = self._event_tokens.write(request, _position(page.next))
        return pb2.ListCalendarInstancesResponse(events=page.events, next_page_token=token)

    @override
    async def QueryFreeBusy(self, request: pb2.QueryFreeBusyRequest, context: "Context") -> pb2.QueryFreeBusyResponse:
        """Return the busy times of people."""
        query, caller = query_of(request), current_caller()
        place = Place(query.tenant_id, is_in_scope=caller.may_see(query.tenant_id), key_id=caller.key_id or "")
        async with self._reads.reading(place, _FREE_BUSY, ability=CALENDAR_READ) as access:
            return pb2.QueryFreeBusyResponse(schedules=await self._free_busy.query(access, query))

    @override
    async def CreateCalendarEvent(
        self, request: pb2.CreateCalendarEventRequest, context: "Context"
    ) -> pb2.CreateCalendarEventResponse:
        """Commit a new event."""
        request.calendar_id = check_id("calendar_id", request.calendar_id)
        caller = current_caller()
        row, was_known = await self._writes.create(request, scope_of(caller), caller.key_id or None)
        return pb2.CreateCalendarEventResponse(write=row.message(), was_known=was_known)

    @override
    async def RespondToCalendarEvent(
        self, request: pb2.RespondToCalendarEventRequest, context: "Context"
    ) -> pb2.RespondToCalendarEventResponse:
        """Commit an answer to an invitation."""
        request.calendar_event_id = check_id("calendar_event_id", request.calendar_event_id)
        caller = current_caller()
        row, was_known = await self._writes.respond(request, scope_of(caller), caller.key_id or None)
        return pb2.RespondToCalendarEventResponse(write=row.message(), was_known=was_known)

    @override
    async def UpdateCalendarEvent(
        self, request: pb2.UpdateCalendarEventRequest, context: "Context"
    ) -> pb2.UpdateCalendarEventResponse:
        """Commit changes of an event."""
        request.calendar_event_id = check_id("calendar_event_id", request.calendar_event_id)
        caller = current_caller()
        row, was_known = await self._writes.update(request, scope_of(caller), caller.key_id or None)
        return pb2.UpdateCalendarEventResponse(write=row.message(), was_known=was_known)

    @override
    async def CancelCalendarEvent(
        self, request: pb2.CancelCalendarEventRequest, context: "Context"
    ) -> pb2.CancelCalendarEventResponse:
        """Commit a cancellation."""
        request.calendar_event_id = check_id("calendar_event_id", request.calendar_event_id)
        caller = current_caller()
        row, was_known = await self._writes.cancel(request, scope_of(caller), caller.key_id or None)
        return pb2.CancelCalendarEventResponse(write=row.message(), was_known=was_known)

    @override
    async def GetCalendarWrite(
        self, request: pb2.GetCalendarWriteRequest, context: "Context"
    ) -> pb2.GetCalendarWriteResponse:
        """Return one write."""
        write_id = check_id("calendar_write_id", request.calendar_write_id)
        row = await self._writes.get(write_id, scope_of(current_caller()))
        return pb2.GetCalendarWriteResponse(write=row.message())

    @override
    async def ListCalendarWrites(
        self, request: pb2.ListCalendarWritesRequest, context: "Context"
    ) -> pb2.ListCalendarWritesResponse:
        """Return a page of writes."""
        states = sorted(set(request.states))
        if not set(states) <= set(pb2.CalendarWriteState.values()):
            raise FieldInvalid.of("states", "must be states of writes")
        size, position = page_size(request.page_size), self._write_tokens.read(request)
        before = None if position is None else str(position[0])
        rows, has_more = await self._writes.page(scope_within(request.tenant_id), states, before, size)
        last: Position | None = [rows[-1].calendar_write_id] if has_more else None
        return pb2.ListCalendarWritesResponse(
            writes=[row.message() for row in rows], next_page_token=self._write_tokens.write(request, last)
        )

    @override
    async def ResolveCalendarWrite(
        self, request: pb2.ResolveCalendarWriteRequest, context: "Context"
    ) -> pb2.ResolveCalendarWriteResponse:
        """Decide about an uncertain write."""
        done, again = pb2.CALENDAR_WRITE_RESOLUTION_DONE, pb2.CALENDAR_WRITE_RESOLUTION_WRITE_AGAIN
        if request.resolution not in (done, again):
            raise FieldInvalid.of("resolution", "must be CALENDAR_WRITE_RESOLUTION_DONE or ..._WRITE_AGAIN")
        write_id = check_id("calendar_write_id", request.calendar_write_id)
        row = await self._writes.resolve(write_id, request.resolution, scope_of(current_caller()))
        return pb2.ResolveCalendarWriteResponse(write=row.message())


def _place(position: Position | None) -> ListPlace:
    if position is None:
        return ListPlace()
    return ListPlace(datetime.fromisoformat(str(position[0])).astimezone(UTC), str(position[1]))


def _position(place: ListPlace | None) -> Position | None:
    return None if place is None else [place.starts_at.isoformat(), place.event_id]
