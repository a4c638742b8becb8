"""Messages of the contract: the places in them, and messages with every field set."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from tests.gateway.contract_routes import FREE


def places(message: Descriptor, path: tuple[FieldDescriptor, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Yield the path of each message inside of a request, the request itself included."""
    yield path
    for field in message.fields:
        if field.message_type is not None and not field.message_type.full_name.startswith(FREE) and len(path) < 3:
            yield from places(field.message_type, (*path, field))


def wrapped(path: tuple[FieldDescriptor, ...], value: Any) -> Any:
    for field in reversed(path):
        value = {field.json_name: [value] if field.is_repeated else value}
    return value


def filled(message: Message) -> Message:
    """Set every field, lists with two entries."""
    if isinstance(message, Struct):
        message.update({"type": "object", "properties": {"any_name": {"enum": ["a", 1.0, None]}}})
        return message
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name):
            continue
        if field.message_type is not None:
            children = [getattr(message, field.name).add() for _ in "ab"] if field.is_repeated else []
            for child in children or [getattr(message, field.name)]:
                child.SetInParent()
                filled(child)
        elif field.is_repeated:
            getattr(message, field.name).extend([_value(field), _value(field)])
        else:
            setattr(message, field.name, _value(field))
    return message


def _value(field: FieldDescriptor) -> Any:
    if field.containing_type.full_name == "google.protobuf.FieldMask":
        return "display_name"
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return b"\0" if field.type == FieldDescriptor.TYPE_BYTES else 'a "\\ \u00e9 {[,'
    return field.cpp_type == FieldDescriptor.CPPTYPE_BOOL or 1
