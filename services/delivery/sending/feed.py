"""The event stream, as Processor's mesh door serves it."""

from collections.abc import Sequence
from datetime import datetime

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from mailmesh.processor.v1 import event_pb2, event_service_pb2
from mailmesh.processor.v1.event_feed_service_pb2_grpc import EventFeedServiceAsyncStub
from services.delivery.sending.bodies import delivery_of
from services.delivery.store.rows import Count, Delivery, EndpointRow, Place

FEED = "/mailmesh.processor.v1.EventFeedService"
RETRY_SAFE = tuple(f"{FEED}/{name}" for name in ("ReadFeed", "LocateFeed", "GetFeedEvent", "PublishEndpointEvents"))
EARLIEST, LATEST = "earliest", "latest"
_CALL_SECONDS = 10.0


class Feed:
    """Reads events.

    Args:
        stub: Processor's door.
    """

    def __init__(self, stub: EventFeedServiceAsyncStub) -> None:
        self._stub = stub

    async def position(self, cursor: str) -> str:
        """Return the cursor that a place in the stream stands for, after checking that it can be read from.

        Raises:
            MeshError: Processor refuses the cursor, or is away.
        """
        if cursor == EARLIEST:
            return EARLIEST
        request = pb2.ReadFeedRequest(cursor=cursor, page_size=1)
        page = await self._stub.ReadFeed(request, timeout=_CALL_SECONDS)
        return page.next_cursor if cursor == LATEST else cursor

    async def page(self, row: EndpointRow, count: int) -> pb2.ReadFeedResponse:
        """Return the next events for an endpoint, without their content.

        Raises:
            MeshError: Processor refuses the cursor, or is away.
        """
        request = pb2.ReadFeedRequest(
            cursor=row.position, page_size=count, filter=_filter(row), view=event_pb2.EVENT_VIEW_BASIC
        )
        return await self._stub.ReadFeed(request, timeout=_CALL_SECONDS)

    async def since(self, row: EndpointRow, moment: datetime) -> Place:
        """Return the earlier of an endpoint's position and the place of a time.

        Raises:
            MeshError: Processor refuses the position, or is away.
        """
        request = pb2.LocateFeedRequest(cursor=row.position, filter=_filter(row))
        request.events_from.FromDatetime(moment)
        found = await self._stub.LocateFeed(request, timeout=_CALL_SECONDS)
        return Place(found.cursor, Count(found.events, found.has_more))

    async def news(self, cursor: str, kinds: Sequence[str], count: int, wait_seconds: int) -> pb2.ReadFeedResponse:
        """Wait for new events of any tenant.

        Raises:
            MeshError: Processor refuses the cursor, or is away.
        """
        chosen = event_service_pb2.EventFilter(event_types=[f"{kind}.*" for kind in kinds])
        request = pb2.ReadFeedRequest(cursor=cursor, page_size=count, filter=chosen, wait_seconds=wait_seconds)
        return await self._stub.ReadFeed(request, timeout=_CALL_SECONDS + wait_seconds)

    async def publish(self, notices: Sequence[pb2.EndpointNotice]) -> None:
        """Append warnings about endpoints to the stream. Safe to call again.

        Raises:
            MeshError: Processor is away.
        """
        await self._stub.PublishEndpointEvents(pb2.PublishEndpointEventsRequest(notices=notices), timeout=_CALL_SECONDS)

    async def delivery(self, event_id: str) -> Delivery:
        """Return the delivery of an event that is still in the stream.

        Raises:
            MeshError: There is no such event any more, or Processor is away.
        """
        return delivery_of(await self.event(event_id))

    async def event(self, event_id: str) -> event_pb2.Event:
        """Return one event with all of its content.

        Raises:
            MeshError: There is no such event any more, or Processor is away.
        """
        request = pb2.GetFeedEventRequest(event_id=event_id, view=event_pb2.EVENT_VIEW_FULL)
        return (await self._stub.GetFeedEvent(request, timeout=_CALL_SECONDS)).event


def _filter(row: EndpointRow) -> event_service_pb2.EventFilter:
    return event_service_pb2.EventFilter(
        tenant_ids=row.tenant_ids, providers=row.providers, event_types=row.event_types
    )
