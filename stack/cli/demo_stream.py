"""Reads the stream of events in a thread, so that their consumer can also check the clock."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

import grpc

from mailmesh.processor.v1 import event_pb2, event_service_pb2, event_service_pb2_grpc
from stack.cli.events import follow

QUEUE_EVENTS = 10_000
LOOK_SECONDS = 0.1


class StreamReader:
    """Events as they come, taken up again where the stream broke.

    Args:
        channel: To the edge, with a key.
        cursor: Where to begin.
    """

    def __init__(self, channel: grpc.Channel, cursor: str) -> None:
        self._request = event_service_pb2.StreamEventsRequest(cursor=cursor, heartbeat_seconds=1)
        self._stub = event_service_pb2_grpc.EventServiceStub(channel)
        self._events: queue.Queue[event_pb2.Event] = queue.Queue(QUEUE_EVENTS)
        self._fault: grpc.RpcError | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def until(self, deadline: "Deadline") -> Iterator[event_pb2.Event]:
        """Gives events until a deadline, which may be moved meanwhile.

        Raises:
            grpc.RpcError: The stream is unavailable for good.
        """
        while time.monotonic() < deadline.at:
            if self._fault is not None:
                raise self._fault
            try:
                yield self._events.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                deadline.look()

    def _read(self) -> None:
        try:
            for event in follow(self._stub, self._request):
                self._events.put(event)
        except (grpc.RpcError, ValueError) as fault:
            # A ValueError means that the channel was closed: the consumer has gone.
            self._fault = fault if isinstance(fault, grpc.RpcError) else None


class Deadline:
    """A moment that can come nearer.

    Args:
        seconds: How far it is at first.
        is_enough: Called while no event arrives; returns whether all awaited events are there.
        quiet_seconds: How much longer to listen then.
    """

    def __init__(self, seconds: float, is_enough: Callable[[], bool], quiet_seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self._is_enough = is_enough
        self._quiet_seconds = quiet_seconds
        self._is_near = False

    def look(self) -> None:
        """Moves the deadline when there is enough."""
        if not self._is_near and self._is_enough():
            self._is_near = True
            self.at = min(self.at, time.monotonic() + self._quiet_seconds)
