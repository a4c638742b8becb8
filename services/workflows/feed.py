"""The event stream, as Processor's mesh door serves it to Workflows."""

from collections.abc import Sequence

from mailmesh.processor.v1 import event_feed_service_pb2 as pb2
from mailmesh.processor.v1 import event_pb2, event_service_pb2
from mailmesh.processor.v1.event_feed_service_pb2_grpc import EventFeedServiceAsyncStub
from services.meshkit.errors import NotFound
from services.workflows.errors import EventNotFound

_FEED = "/mailmesh.processor.v1.EventFeedService"
RETRY_SAFE = tuple(f"{_FEED}/{name}" for name in ("ReadFeed", "GetFeedEvent", "PublishWorkflowEvents"))
EARLIEST, LATEST = "earliest", "latest"
_CALL_SECONDS = 10.0


class Feed:
    """Reads events, and publishes those of runs.

    Args:
        stub: Processor's door.
    """

    def __init__(self, stub: EventFeedServiceAsyncStub) -> None:
        self._stub = stub

    async def newest(self) -> str:
        """Return the cursor behind the newest event."""
        request = pb2.ReadFeedRequest(cursor=LATEST, page_size=1)
        return (await self._stub.ReadFeed(request, timeout=_CALL_SECONDS)).next_cursor

    async def page(
        self, cursor: str, event_types: Sequence[str], count: int, wait_seconds: int
    ) -> pb2.ReadFeedResponse:
        """Return the next events of these types, and wait for the first one if there is none yet.

        Raises:
            MeshError: Processor refuses the cursor, or is away.
        """
        request = pb2.ReadFeedRequest(
            cursor=cursor,
            page_size=count,
            filter=event_service_pb2.EventFilter(event_types=event_types),
            view=event_pb2.EVENT_VIEW_BASIC,
            wait_seconds=wait_seconds,
        )
        return await self._stub.ReadFeed(request, timeout=_CALL_SECONDS + wait_seconds)

    async def tenant_of(self, event_id: str) -> str:
        """Return the tenant of an event; empty if it belongs to none.

        Raises:
            EventNotFound: There is no such event any more.
            MeshError: Processor is away.
        """
        request = pb2.GetFeedEventRequest(event_id=event_id, view=event_pb2.EVENT_VIEW_BASIC)
        try:
            event = (await self._stub.GetFeedEvent(request, timeout=_CALL_SECONDS)).event
        except NotFound as exc:
            raise EventNotFound(resource=event_id) from exc
        return tenant_and_id(event)[0]

    async def publish(self, notices: Sequence[pb2.WorkflowNotice]) -> None:
        """Append changes of runs to the stream. Safe to call again.

        Raises:
            MeshError: Processor is away.
        """
        await self._stub.PublishWorkflowEvents(pb2.PublishWorkflowEventsRequest(notices=notices), timeout=_CALL_SECONDS)


def tenant_and_id(event: event_pb2.Event) -> tuple[str, str]:
    """Return the tenant and the id of an event; empty for kinds that this release does not know."""
    kind = event.WhichOneof("kind")
    content = getattr(event, kind) if kind else None
    return (content.tenant_id, content.event_id) if content is not None else ("", "")
