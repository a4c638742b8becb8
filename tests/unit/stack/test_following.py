"""How the command line follows the stream of events: across breaks, and until it gives up.

The client is synchronous, so grpcio-testing's channel can stand in for the network: the generated stub and the code
above it are the real ones, and each call is answered by hand. (That package is no use for asyncio: there it reports
success for handlers that raise.)
"""

import queue
import threading
from collections.abc import Callable

import grpc
import grpc_testing
import pytest
from google.rpc import error_details_pb2, status_pb2

from mailmesh.processor.v1 import event_pb2, event_service_pb2, event_service_pb2_grpc
from stack.cli.events import follow
from stack.cli.exits import code_of, reason_of

SERVICE = event_service_pb2.DESCRIPTOR.services_by_name["EventService"]
STREAM = SERVICE.methods_by_name["StreamEvents"]
ANSWER_SECONDS = 60
Answers = queue.Queue[str | grpc.RpcError]
Follow = Callable[[str], Answers]


@pytest.fixture
def channel() -> grpc_testing.Channel:
    """A channel whose calls the test takes and answers."""
    return grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())


@pytest.fixture
def followed(channel: grpc_testing.Channel, monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Follows in a thread: `followed(cursor)` gives a queue of positions, closed by the failure that ends it."""
    monkeypatch.setattr("stack.cli.events.RECONNECT_SECONDS", 0.0)
    stub = event_service_pb2_grpc.EventServiceStub(channel)

    def start(cursor: str) -> Answers:
        answers: Answers = queue.Queue()
        request = event_service_pb2.StreamEventsRequest(cursor=cursor)

        def read() -> None:
            try:
                for event in follow(stub, request):
                    answers.put(event.position)
            except grpc.RpcError as fault:
                answers.put(fault)

        # A test must not wait at its end for an answer that it never gives.
        threading.Thread(target=read, daemon=True).start()
        return answers

    return start


def event(position: str) -> event_service_pb2.StreamEventsResponse:
    return event_service_pb2.StreamEventsResponse(event=event_pb2.Event(position=position))


def heartbeat(position: str) -> event_service_pb2.StreamEventsResponse:
    return event_service_pb2.StreamEventsResponse(heartbeat=event_service_pb2.Heartbeat(position=position))


def taken(
    channel: grpc_testing.Channel, *steps: event_service_pb2.StreamEventsResponse
) -> tuple[str, grpc_testing.UnaryStreamChannelRpc]:
    """Takes the next call, answers with some steps, and returns the cursor that was asked for, with the open call."""
    _, request, rpc = channel.take_unary_stream(STREAM)
    # It is the client's own message, whose cursor moves with the first answer.
    cursor = request.cursor
    rpc.send_initial_metadata(())
    for step in steps:
        rpc.send_response(step)
    return cursor, rpc


def end(rpc: grpc_testing.UnaryStreamChannelRpc, code: grpc.StatusCode, reason: str) -> None:
    """Ends a call with a failure, as the mesh reports it: details in a trailer, if there is a reason."""
    status = status_pb2.Status(code=code.value[0], message="No.")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="mailmesh"))
    trailers = (("grpc-status-details-bin", status.SerializeToString()),) if reason else ()
    rpc.terminate(trailers, code, "No.")


@pytest.mark.parametrize("reason", ["SHUTTING_DOWN", "READER_TOO_SLOW", ""])
def test_a_stream_that_breaks_goes_on_behind_its_last_event(
    channel: grpc_testing.Channel, followed: Follow, reason: str
) -> None:
    answers = followed("earliest")
    first, rpc = taken(channel, event("1"), event("2"))
    # The stand-in drops what is not read when the call ends.
    assert ["1", "2"] == [answers.get(timeout=ANSWER_SECONDS) for _ in range(2)]
    end(rpc, grpc.StatusCode.UNAVAILABLE, reason)
    second, _ = taken(channel, event("3"))

    assert "3" == answers.get(timeout=ANSWER_SECONDS)
    assert ("earliest", "2") == (first, second)


def test_a_heartbeat_moves_the_cursor_where_there_is_no_event(channel: grpc_testing.Channel, followed: Follow) -> None:
    answers = followed("earliest")
    _, rpc = taken(channel, heartbeat("7"))
    rpc.terminate((), grpc.StatusCode.OK, "")
    second, _ = taken(channel, event("8"))

    assert "8" == answers.get(timeout=ANSWER_SECONDS)
    assert "7" == second


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED"),
        (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID"),
        (grpc.StatusCode.INTERNAL, ""),
    ],
)
def test_a_failure_that_time_does_not_cure_ends_the_stream(
    channel: grpc_testing.Channel, followed: Follow, code: grpc.StatusCode, reason: str
) -> None:
    answers = followed("1")
    _, rpc = taken(channel)
    end(rpc, code, reason)

    failure = answers.get(timeout=ANSWER_SECONDS)
    assert isinstance(failure, grpc.RpcError)
    assert (code, reason) == (code_of(failure), reason_of(failure))


def test_patience_with_a_mesh_that_is_away_has_an_end(
    channel: grpc_testing.Channel, followed: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.cli.events.RECONNECT_FOR_SECONDS", 0.0)
    answers = followed("1")
    for _ in range(2):
        _, rpc = taken(channel)
        end(rpc, grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")

    failure = answers.get(timeout=ANSWER_SECONDS)
    assert isinstance(failure, grpc.RpcError)
    assert "SERVICE_UNAVAILABLE" == reason_of(failure)
