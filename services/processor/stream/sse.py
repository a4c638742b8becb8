"""The stream as server-sent events (WHATWG HTML, section 9.2)."""

from google.api import httpbody_pb2
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from mailmesh.processor.v1 import event_service_pb2
from services.meshkit.errors import MeshError
from services.meshkit.status import to_status
from services.processor.stream.serialization import content_of

CONTENT_TYPE = "text/event-stream"
RETRY_MILLISECONDS = 3000


def opening() -> httpbody_pb2.HttpBody:
    """Return the first chunk: the time after which a browser reconnects."""
    return _chunk(f"retry: {RETRY_MILLISECONDS}\n\n")


def frame(step: event_service_pb2.StreamEventsResponse) -> httpbody_pb2.HttpBody:
    """Return a step as a chunk. A heartbeat has an id and no data: a browser notes the id and raises no event."""
    if step.WhichOneof("step") == "heartbeat":
        return _chunk(f": heartbeat\nid: {step.heartbeat.position}\n\n")
    event = step.event
    content = content_of(event)
    return _chunk(f"id: {event.position}\nevent: {content.event_type}\ndata: {_json(event)}\n\n")


def ending(error: MeshError) -> httpbody_pb2.HttpBody:
    """Return the reason of the end as a chunk: `event: error` with a `google.rpc.Status`."""
    return _chunk(f"event: error\ndata: {_json(to_status(error))}\n\n")


def _json(message: Message) -> str:
    """Return a message as one line of JSON in the edge's form: lowerCamelCase, fields without presence printed."""
    return MessageToJson(message, indent=None, ensure_ascii=False, always_print_fields_with_no_presence=True)


def _chunk(text: str) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type=CONTENT_TYPE, data=text.encode())
