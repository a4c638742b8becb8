"""JSON schemas of arguments, from the fields of the contract."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from services.agents.comments import Comments

MOST_CHARACTERS = 100_000
MOST_ITEMS = 100
_STRING = {"type": "string", "maxLength": MOST_CHARACTERS}
_INTEGERS = {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32}
_TIME = "google.protobuf.Timestamp"
# Strangers' HTML has no way into a mail that an agent writes.
_LEFT_OUT = frozenset({"html"})


def schema_of(field: FieldDescriptor, comments: Comments) -> dict[str, Any]:
    """Return the schema of a field with its text."""
    one = _one(field, comments)
    if field.is_repeated:
        # The check takes the rules in this order: the number of items comes before the items.
        one = {"type": "array", "maxItems": MOST_ITEMS, "items": one}
    return one | {"description": comments.of(field.full_name)}


def _one(field: FieldDescriptor, comments: Comments) -> dict[str, Any]:
    if field.message_type is not None:
        return (
            {"type": "string", "format": "date-time"}
            if field.message_type.full_name == _TIME
            else _object(field.message_type, comments)
        )
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values if value.number]}
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"type": "boolean"}
    return {"type": "integer"} if field.cpp_type in _INTEGERS else _STRING


def _object(message: Descriptor, comments: Comments) -> dict[str, Any]:
    properties = {field.name: schema_of(field, comments) for field in message.fields if field.name not in _LEFT_OUT}
    return {"type": "object", "properties": properties, "additionalProperties": False}
