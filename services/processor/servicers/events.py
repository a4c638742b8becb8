"""EventService: consumers read events here."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import event_service_pb2 as pb2
from mailmesh.processor.v1.event_service_pb2_grpc import EventServiceServicer as Base
from services.meshkit.errors import MeshError
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import page_size
from services.processor.stream import sse
from services.processor.stream.cursor import Cursor, read_time
from services.processor.stream.errors import EventNotFound
from services.processor.stream.filter import is_hidden, scope_of, select
from services.processor.stream.live import Following, Reader, Step, basic_by_default, full_by_default, heartbeat_seconds
from services.processor.stream.pages import EARLIEST, LATEST, EventReader

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

LAST_EVENT_ID = "last-event-id"
_ENDING_SECONDS = 5.0


class EventServicer(Base):
    """Answers EventService.

    Args:
        events: The reader of pages.
        following: The server of streams.
    """

    def __init__(self, events: EventReader, following: Following) -> None:
        self._events = events
        self._following = following

    @override
    async def ListEvents(self, request: pb2.ListEventsRequest, context: "Context") -> pb2.ListEventsResponse:
        """Return a page of events."""
        count, selection = page_size(request.page_size), select(request.filter, current_caller())
        start = await self._start(request.cursor, EARLIEST)
        page = await self._events.page(start, selection, basic_by_default(request.view), count)
        next_cursor = self._events.written(page.next, scope_of(current_caller()))
        return pb2.ListEventsResponse(events=page.events, next_cursor=next_cursor, has_more=page.has_more)

    @override
    async def GetEvent(self, request: pb2.GetEventRequest, context: "Context") -> pb2.GetEventResponse:
        """Return one event."""
        event_id = check_id("event_id", request.event_id)
        event = await self._events.event(event_id, scope_of(current_caller()), full_by_default(request.view))
        if is_hidden(event, current_caller()):
            raise EventNotFound(resource=event_id)
        return pb2.GetEventResponse(event=event)

    # Steps are written to the context and not yielded: only a write shows that a reader does not take them.
    @override
    async def StreamEvents(  # type: ignore[override]
        self, request: pb2.StreamEventsRequest, context: "Context"
    ) -> None:
        """Send events until the stream has to end."""
        start = await self._start(request.cursor, LATEST)
        await self._following.follow(start, self._reader(request, context.write))

    @override
    async def TailEvents(self, request: pb2.TailEventsRequest, context: "Context") -> None:  # type: ignore[override]
        """Send events as server-sent events. After the first byte, an error is sent as the last event."""

        async def write(step: Step) -> None:
            await context.write(sse.frame(step))

        cursor = _last_event_id(context) or request.cursor
        start = await self._start(cursor, LATEST)
        reader = self._reader(request, write)
        await context.write(sse.opening())
        try:
            await self._following.follow(start, reader)
        except MeshError as exc:
            with suppress(TimeoutError):  # a reader that was too slow may be too slow for this step as well
                async with asyncio.timeout(_ENDING_SECONDS):
                    await context.write(sse.ending(exc))

    async def _start(self, cursor: str, default: str) -> Cursor:
        """Resolve the start of a reader: as `EventReader.start`, or a time."""
        moment = read_time(cursor)
        return await (self._events.start(cursor, default) if moment is None else self._events.before(moment))

    def _reader(
        self, request: pb2.StreamEventsRequest | pb2.TailEventsRequest, write: Callable[[Step], Awaitable[None]]
    ) -> Reader:
        caller = current_caller()
        return Reader(
            selection=select(request.filter, caller),
            view=basic_by_default(request.view),
            heartbeat_seconds=heartbeat_seconds(request.heartbeat_seconds),
            key_id=caller.key_id,
            session_id=caller.session_id,
            write=write,
            written=partial(self._events.written, scope=caller.tenants),
        )


def _last_event_id(context: "Context") -> str:
    """Return the position that a reconnecting browser sends as `Last-Event-ID`."""
    for name, value in context.invocation_metadata() or ():
        if name == LAST_EVENT_ID:
            return value if isinstance(value, str) else ""
    return ""
