"""A mesh whose every answer is made of text that acts on a terminal. The text is harmless where it is shown."""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from mailmesh.access.v1 import access_pb2
from mailmesh.conversation.v1 import conversation_service_pb2
from mailmesh.delivery.v1 import endpoint_service_pb2
from mailmesh.ingest.v1 import dead_letter_service_pb2, subscription_service_pb2
from mailmesh.primitives.v1 import primitive_service_pb2
from mailmesh.processor.v1 import (
    calendar_service_pb2,
    classification_service_pb2,
    content_service_pb2,
    event_service_pb2,
    message_service_pb2,
    model_service_pb2,
    processor_service_pb2,
    sealing_service_pb2,
    search_service_pb2,
    send_service_pb2,
)
from mailmesh.vault.v1 import (
    api_key_service_pb2,
    audit_service_pb2,
    directory_service_pb2,
    export_service_pb2,
    session_service_pb2,
    tenant_service_pb2,
)
from mailmesh.workflow.v1 import workflow_service_pb2

CONTRACT = (
    *(tenant_service_pb2, api_key_service_pb2, audit_service_pb2, subscription_service_pb2, dead_letter_service_pb2),
    *(event_service_pb2, processor_service_pb2, send_service_pb2, message_service_pb2, calendar_service_pb2),
    *(endpoint_service_pb2, session_service_pb2, conversation_service_pb2, primitive_service_pb2),
    *(directory_service_pb2, search_service_pb2, workflow_service_pb2, classification_service_pb2, sealing_service_pb2),
    *(content_service_pb2, export_service_pb2, model_service_pb2),
)
# A title, the clipboard, a cleared screen, a bell; the same by C1; an override and an isolate of direction; a carriage
# return and line breaks that would forge lines; markup and an emoji's name; a hidden tag.
HOSTILE = (
    "\x1b]0;title\x07\x1b]52;c;Y2xpcA==\x07\x1b[2J\x9b2J\x9d0;t\x9c\u202egpj.exe\u2066\rforged\nforged\u2028forged"
    "[red]:bomb:\x7f\U000e0041\u4f60\U0001f600"
)
PAGING = ("next_page_token", "next_cursor")
DEPTH = 4


def key_methods() -> Iterator[MethodDescriptor]:
    """Gives every RPC of the key door."""
    for module in CONTRACT:
        for service in module.DESCRIPTOR.services_by_name.values():
            assert service.GetOptions().Extensions[access_pb2.door] == access_pb2.DOOR_KEY
            yield from service.methods


@contextmanager
def hostile_mesh(folder: Path, failing: str = "") -> Iterator[str]:
    """Runs the mesh and gives its address.

    Args:
        folder: For its unix socket.
        failing: The message with which every RPC fails, instead of an answer.
    """
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    for method in key_methods():
        server.add_generic_rpc_handlers((_handler(method, failing),))
    address = f"unix:{folder / 'mesh.sock'}"
    server.add_insecure_port(address)
    server.start()
    yield address
    server.stop(None)


def _handler(method: MethodDescriptor, failing: str) -> grpc.GenericRpcHandler:
    request = message_factory.GetMessageClass(method.input_type)
    answer = hostile(message_factory.GetMessageClass(method.output_type)())

    def unary(_: Message, context: grpc.ServicerContext) -> Message:
        if failing:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, failing)
        return answer

    def stream(_: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        yield unary(_, context)

    make: Callable[..., Any] = (
        grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
    )
    handler = make(
        stream if method.server_streaming else unary,
        request_deserializer=request.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
    return grpc.method_handlers_generic_handler(method.containing_service.full_name, {method.name: handler})


def hostile(message: Message, depth: int = DEPTH) -> Message:
    """Fills every field of a message, every text of it hostile; lists have one item."""
    for field in message.DESCRIPTOR.fields:
        if field.name in PAGING or (field.containing_oneof and message.WhichOneof(field.containing_oneof.name)):
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            _fill_message(message, field, depth)
        elif (value := _scalar(field)) is not None:
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    return message


def _fill_message(message: Message, field: FieldDescriptor, depth: int) -> None:
    inner = getattr(message, field.name)
    if field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        inner[HOSTILE] = HOSTILE if value.type == FieldDescriptor.TYPE_STRING else 1
    elif not field.message_type.full_name.startswith("mailmesh."):
        if isinstance(inner, timestamp_pb2.Timestamp):
            inner.seconds = 1_800_000_000
    elif depth:
        hostile(inner.add() if field.is_repeated else inner, depth - 1)
        if not field.is_repeated:
            inner.SetInParent()


def _scalar(field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return HOSTILE
    if field.type == FieldDescriptor.TYPE_ENUM:
        # Of an attempt to connect, the state behind "pending": the command would wait for ever.
        return 2 if field.enum_type.name == "AuthorizationState" else 1
    return None


def texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in (*value, *value.values()):
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)
