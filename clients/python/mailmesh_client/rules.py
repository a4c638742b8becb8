"""The rules of following, which are the same in every client: clients/README.md states them."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from mailmesh.processor.v1 import event_pb2, event_service_pb2
from mailmesh_client.errors import CursorLostError, MailmeshError

PASSING = frozenset(
    {"OVERLOADED", "RATE_LIMITED", "READER_TOO_SLOW", "SERVICE_UNAVAILABLE", "SHUTTING_DOWN", "STORE_UNAVAILABLE"}
)
# The codes of a broken connection or of a proxy on the way, as far as no reason says more.
BROKEN = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
LONGEST_RETRY_AFTER_SECONDS = 300.0
_MOST_DOUBLINGS = 30


@dataclass(frozen=True)
class Backoff:
    """The pauses between attempts: doubled from the first to the longest, with jitter.

    Attributes:
        first_seconds: The pause after the first failure in a row.
        longest_seconds: The bound of the pauses.
    """

    first_seconds: float = 0.2
    longest_seconds: float = 30.0

    def pause(self, failures: int, error: MailmeshError | None = None) -> float:
        """Return the pause in seconds after this many failures in a row; mailmesh may ask for a longer one."""
        doubled = self.first_seconds * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        pause = min(doubled, self.longest_seconds) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads readers, no secret
        asked = (error.retry_after_seconds if error else None) or 0.0
        return max(pause, min(asked, LONGEST_RETRY_AFTER_SECONDS))


@dataclass(frozen=True)
class FollowOptions:
    """How to follow the stream.

    Attributes:
        start: Where a follower without a saved cursor starts: "earliest" or "latest".
        filter: The events to receive; None means all that the key may see.
        view: How much of each event to receive.
        heartbeat_seconds: The longest silence that is asked for, 1 to 60. After three times as long without a message
            the stream counts as broken.
        backoff: The pauses between attempts.
        on_gap: Called when events after the cursor are gone, before reading continues from the oldest one. Without it,
            `CursorLostError` ends following.
    """

    start: str = "earliest"
    filter: event_service_pb2.EventFilter | None = None
    view: "event_pb2.EventView.ValueType" = event_pb2.EVENT_VIEW_BASIC
    heartbeat_seconds: int = 15
    backoff: Backoff = field(default_factory=Backoff)
    on_gap: Callable[[CursorLostError], None] | None = None

    @property
    def silence_seconds(self) -> float:
        """The longest silence of a stream that counts as alive."""
        return 3.0 * self.heartbeat_seconds

    def request(self, cursor: str) -> event_service_pb2.StreamEventsRequest:
        """Return the request that opens the stream behind a cursor."""
        return event_service_pb2.StreamEventsRequest(
            cursor=cursor, filter=self.filter, view=self.view, heartbeat_seconds=self.heartbeat_seconds
        )


def step_of(response: event_service_pb2.StreamEventsResponse) -> tuple[str, event_pb2.Event | None]:
    """Return the position after a step, and its event unless it has none of a known kind."""
    if response.WhichOneof("step") == "event":
        known = response.event.WhichOneof("kind") is not None
        return response.event.position, response.event if known else None
    return response.heartbeat.position, None


def is_passing(error: MailmeshError) -> bool:
    """Return whether the stream can be opened again where it ended."""
    if error.reason in PASSING or error.code is grpc.StatusCode.UNAVAILABLE or error.retry_after_seconds is not None:
        return True
    return not error.reason and error.code in BROKEN


def cursor_after(error: MailmeshError, cursor: str, options: FollowOptions) -> str:
    """Return the cursor with which to open the stream again.

    Raises:
        MailmeshError: The failure, which another attempt does not fix.
    """
    if isinstance(error, CursorLostError) and options.on_gap and error.oldest_cursor:
        options.on_gap(error)
        return error.oldest_cursor
    if not isinstance(error, CursorLostError) and is_passing(error):
        return cursor
    raise error
