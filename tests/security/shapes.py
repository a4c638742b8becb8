"""Requests of any content: made from the contract's messages for gRPC, and from the OpenAPI document for REST."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

NOBODY = "019a9f0e-7c1e-7000-8000-000000000000"
HOSTILE_TEXTS = [
    "", " ", "0", "-1", "null", "earliest", "latest", "*", "..", "%00", "%2e%2e%2f", "\x00", "\n", "\u202e", "é" * 300,
    "x" * 5000, "' OR 1=1 --", "{}", "[]", "ms365", "googlews", "mail.*", "mail.created", "AAAA", "=" * 32, "A" * 32,
    NOBODY, NOBODY.upper(), "<script>", "${jndi:ldap://x}", "\U0001f4e7", "2026-01-01T00:00:00Z", "9999-99-99",
]  # fmt: skip
NUMBERS: dict[int, list[float]] = {
    FieldDescriptor.CPPTYPE_INT32: [0, 1, -1, 1000, 2**31 - 1, -(2**31)],
    FieldDescriptor.CPPTYPE_INT64: [0, 1, -1, 253402300800, -62135596801, 2**63 - 1, -(2**63)],
    FieldDescriptor.CPPTYPE_UINT32: [0, 1, 1000, 2**32 - 1],
    FieldDescriptor.CPPTYPE_UINT64: [0, 1, 1000, 2**64 - 1],
    FieldDescriptor.CPPTYPE_FLOAT: [0.0, -0.0, 0.5, 1.0, -1.0, 1e38, math.inf, -math.inf, math.nan],
    FieldDescriptor.CPPTYPE_DOUBLE: [0.0, -0.0, 0.5, 1.0, -1.0, 1e308, math.inf, -math.inf, math.nan],
}
MAX_DEPTH = 3


def texts(known: list[str]) -> st.SearchStrategy[str]:
    """Generate texts: existing ids, inputs known to be harmful, and any other text."""
    return st.sampled_from(known) | st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=40)


def messages(descriptor: Descriptor, known: list[str], depth: int = 0) -> st.SearchStrategy[Message]:
    """Generate messages of a type, with any fields of any content.

    Args:
        descriptor: The type.
        known: Existing ids, so that the requests reach real resources.
        depth: The depth of nesting in other messages.
    """
    fields = [field for field in descriptor.fields if depth < MAX_DEPTH or field.message_type is None]
    optional = {field.name: _values(field, known, depth) for field in fields}
    return st.fixed_dictionaries({}, optional=optional).map(lambda given: _filled(descriptor, given))


def with_each_text(descriptor: Descriptor, text: str, ids: dict[str, str], depth: int = 0) -> Iterator[Message]:
    """Return messages of a type, each with the text in another of its fields, those of inner messages included.

    Args:
        descriptor: The type.
        text: The text.
        ids: Further values for fields of these names, so that the requests reach real resources.
        depth: The depth of nesting in other messages.
    """
    for field in descriptor.fields:
        values: Iterable[Any] = ()
        if field.message_type is not None and depth < MAX_DEPTH:
            values = with_each_text(field.message_type, text, ids, depth + 1)
        elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type != FieldDescriptor.TYPE_BYTES:
            values = (text,)
        for value in values:
            others = {name: ids[name] for name in ids.keys() & descriptor.fields_by_name.keys()}
            yield _filled(descriptor, {**others, field.name: [value] if field.is_repeated else value})


def with_each_time(descriptor: Descriptor, time: Timestamp, ids: dict[str, str], depth: int = 0) -> Iterator[Message]:
    """Return messages of a type, each with the time in another of its fields, those of inner messages included.

    Args:
        descriptor: The type.
        time: The time.
        ids: Further values for fields of these names, so that the requests reach real resources.
        depth: The depth of nesting in other messages.
    """
    others = {name: ids[name] for name in ids.keys() & descriptor.fields_by_name.keys()}
    for field in descriptor.fields:
        if field.message_type is None or depth == MAX_DEPTH:
            continue
        is_time = field.message_type.full_name == Timestamp.DESCRIPTOR.full_name
        inner = (time,) if is_time else with_each_time(field.message_type, time, ids, depth + 1)
        for value in inner:
            yield _filled(descriptor, {**others, field.name: [value] if field.is_repeated else value})


def _values(field: FieldDescriptor, known: list[str], depth: int) -> st.SearchStrategy[Any]:
    one = _value(field, known, depth)
    return st.lists(one, max_size=3) if field.is_repeated else one


def _value(field: FieldDescriptor, known: list[str], depth: int) -> st.SearchStrategy[Any]:
    kind = field.cpp_type
    if field.message_type is not None:
        return messages(field.message_type, known, depth + 1)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return st.binary(max_size=60) if field.type == FieldDescriptor.TYPE_BYTES else texts(known)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return st.sampled_from([-1, 0, 1, 2, 3, 99, 2**31 - 1])
    return st.sampled_from(NUMBERS[kind])


def _filled(descriptor: Descriptor, given: dict[str, Any]) -> Message:
    message = GetMessageClass(descriptor)()
    for name, value in given.items():
        target, kind = getattr(message, name), descriptor.fields_by_name[name].message_type
        if kind is not None and kind.GetOptions().map_entry:
            _fill_map(target, value)
        elif isinstance(value, Message):
            target.CopyFrom(value)
        elif isinstance(value, list):
            target.extend(value)
        else:
            setattr(message, name, value)
    return message


class Document:
    """The OpenAPI document, as a source of requests.

    Args:
        content: As it was read.
        known: Ids that exist.
    """

    def __init__(self, content: dict[str, Any], known: list[str]) -> None:
        self._content = content
        self._known = known

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return verb, path and description of every operation."""
        return [(verb, path, what) for path, verbs in self._content["paths"].items() for verb, what in verbs.items()]

    def requests(self, what: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        """Generate path variables, query and body of one operation: valid, nearly valid, or arbitrary."""
        parts: dict[str, dict[str, st.SearchStrategy[Any]]] = {"path": {}, "query": {}}
        for parameter in what.get("parameters", []):
            parts[parameter["in"]][parameter["name"]] = self._schema(parameter["schema"])
        body = what.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        return st.fixed_dictionaries({
            "path": st.fixed_dictionaries(parts["path"]),
            "query": st.fixed_dictionaries({}, optional=parts["query"]),
            "body": self._schema(body) | ANY_JSON if body else st.none() if "requestBody" not in what else ANY_JSON,
        })  # fmt: skip

    def _schema(self, schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
        schema = self._resolved(schema)
        if "enum" in schema:
            return st.sampled_from([*schema["enum"], "NO_SUCH_VALUE", 0, 99])
        if "properties" in schema:
            inner = schema["properties"] if depth < MAX_DEPTH else {}
            return st.fixed_dictionaries(
                {}, optional={name: self._schema(one, depth + 1) | ANY_JSON for name, one in inner.items()}
            )
        if schema.get("type") == "array":
            return st.lists(self._schema(schema["items"], depth + 1), max_size=3)
        return _OF_TYPE.get(schema.get("type", ""), texts(self._known))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while found := schema.get("$ref") or next((one.get("$ref") for one in schema.get("allOf", [])), ""):
            schema = self._content["components"]["schemas"][found.rpartition("/")[2]]
        return schema


_NUMBERS = st.sampled_from([0, 1, -1, 2**31 - 1, 2**31, -(2**31), 2**63, 1.5])
_OF_TYPE = {"boolean": st.booleans(), "integer": _NUMBERS, "number": _NUMBERS}
_LEAF = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
_KEYS = st.sampled_from(["tenantId", "filter", "x", ""])
ANY_JSON = st.recursive(
    _LEAF | st.sampled_from(HOSTILE_TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)


def _fill_map(target: Any, entries: Iterable[Any]) -> None:
    """Fill a map field; its entries are messages with a key and a value."""
    for entry in entries:
        if isinstance(entry.value, Message):
            target[entry.key].CopyFrom(entry.value)
        else:
            target[entry.key] = entry.value
