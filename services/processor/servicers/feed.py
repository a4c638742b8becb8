"""EventFeedService: other services of the mesh read events here; Delivery and Workflows publish their own."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from mailmesh.processor.v1.event_feed_service_pb2_grpc import EventFeedServiceServicer as Base
from mailmesh.processor.v1.event_service_pb2 import EventFilter
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import page_size
from services.processor.stream.cursor import Cursor
from services.processor.stream.filter import Selection, select
from services.processor.stream.live import basic_by_default, full_by_default
from services.processor.stream.notices import publish_endpoint_notices, publish_workflow_notices
from services.processor.stream.pages import LATEST, EventReader, EventView, Page
from services.processor.stream.tail import Tail

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
MAX_WAIT_SECONDS = 30
MAX_COUNTED = 100_000
COUNT_SECONDS = 3.0
"""The time for counting events; callers wait 10 seconds for the answer."""


class EventFeedServicer(Base):
    """Answers EventFeedService.

    Args:
        events: The reader of pages.
        tail: The newest events in memory.
        stopping: Set when the server stops: then no call waits.
        pool: Connections to PostgreSQL.
    """

    def __init__(self, events: EventReader, tail: Tail, stopping: asyncio.Event, pool: db.Pool) -> None:
        self._pool = pool
        self._events = events
        self._tail = tail
        self._stopping = stopping

    @override
    async def ReadFeed(self, request: pb2.ReadFeedRequest, context: "Context") -> pb2.ReadFeedResponse:
        """Return a page of events, and wait for the first one if the request says so."""
        if not 0 <= request.wait_seconds <= MAX_WAIT_SECONDS:
            raise FieldInvalid.of("wait_seconds", f"must be from 0 to {MAX_WAIT_SECONDS}")
        count, selection = page_size(request.page_size), _selected(request.filter)
        view, ends_at = basic_by_default(request.view), time.monotonic() + request.wait_seconds
        start = await self._events.start(request.cursor, LATEST)
        page = await self._page(start, selection, view, count)
        while not (page.events or self._stopping.is_set()) and (left := ends_at - time.monotonic()) > 0:
            if not page.has_more:
                await self._tail.beyond(page.next.position, left)
            page = await self._page(page.next, selection, view, count)
        return pb2.ReadFeedResponse(events=page.events, next_cursor=page.next.write(), has_more=page.has_more)

    @override
    async def LocateFeed(self, request: pb2.LocateFeedRequest, context: "Context") -> pb2.LocateFeedResponse:
        """Return the earlier of a cursor and the place of a time, and count the events after it."""
        own = await self._events.start(request.cursor, LATEST)
        try:
            moment = request.events_from.ToDatetime(UTC)
        except (ValueError, OverflowError):
            raise FieldInvalid.of("events_from", "must be a time of the years 1 to 9999") from None
        there = await self._events.before(moment)
        place = min(own, there, key=lambda one: one.position)
        selection = _selected(request.filter)
        count, is_whole = await self._events.count(place, selection, MAX_COUNTED, COUNT_SECONDS)
        return pb2.LocateFeedResponse(cursor=place.write(), events=count, has_more=not is_whole)

    @override
    async def PublishEndpointEvents(
        self, request: pb2.PublishEndpointEventsRequest, context: "Context"
    ) -> pb2.PublishEndpointEventsResponse:
        """Append warnings about endpoints."""
        await publish_endpoint_notices(self._pool, request.notices)
        return pb2.PublishEndpointEventsResponse()

    @override
    async def PublishWorkflowEvents(
        self, request: pb2.PublishWorkflowEventsRequest, context: "Context"
    ) -> pb2.PublishWorkflowEventsResponse:
        """Append changes of workflows' runs."""
        await publish_workflow_notices(self._pool, request.notices)
        return pb2.PublishWorkflowEventsResponse()

    @override
    async def GetFeedEvent(self, request: pb2.GetFeedEventRequest, context: "Context") -> pb2.GetFeedEventResponse:
        """Return one event."""
        event_id = check_id("event_id", request.event_id)
        event = await self._events.event(event_id, None, full_by_default(request.view))
        return pb2.GetFeedEventResponse(event=event)

    async def _page(self, start: Cursor, selection: Selection, view: EventView, count: int) -> Page:
        known = self._tail.page(start, selection, view, count)
        return known or await self._events.page(start, selection, view, count)


def _selected(wanted: EventFilter) -> Selection:
    """Return the selection of a filter. No kind is hidden: the services ask for those alone that they need."""
    return replace(select(wanted, current_caller()), hidden=())
