"""The stream as server-sent events (WHATWG HTML, section 9.2)."""

from google.api import httpbody_pb2
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from mailmesh.processor.v1 import event_service_pb2
from services.meshkit.errors import MeshError
from services.meshkit.status import to_status

CONTENT_TYPE = "text/event-stream"
RETRY_MILLISECONDS = 3000


def opening() -> httpbody_pb2.HttpBody:
    """What comes first: how long a browser waits before it connects again."""
    return _chunk(f"retry: {RETRY_MILLISECONDS}\n\n")


def frame(step: event_service_pb2.StreamEventsResponse) -> httpbody_pb2.HttpBody:
    """A step of the stream. A heartbeat has an id and no data: a browser notes the id and tells the page nothing."""
    if step.WhichOneof("step") == "heartbeat":
        return _chunk(f": heartbeat\nid: {step.heartbeat.position}\n\n")
    event = step.event
    content = event.mail if event.WhichOneof("kind") == "mail" else event.tenant
    return _chunk(f"id: {event.position}\nevent: {content.event_type}\ndata: {_json(event)}\n\n")


def ending(error: MeshError) -> httpbody_pb2.HttpBody:
    """Why the stream ends: `event: error` with a `google.rpc.Status`."""
    return _chunk(f"event: error\ndata: {_json(to_status(error))}\n\n")


def _json(message: Message) -> str:
    """One line, as the edge prints messages: names in lowerCamelCase, members without presence always there."""
    return MessageToJson(message, indent=None, ensure_ascii=False, always_print_fields_with_no_presence=True)


def _chunk(text: str) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type=CONTENT_TYPE, data=text.encode())
