"""Innermost: refuses requests that lack what the contract calls required, or hold values that no code behind can store.

`google.api.field_behavior = REQUIRED` is read from the descriptors, in nested messages too. A field without presence
counts as missing when it is empty or zero; numbers and booleans without presence cannot be missing. A `Timestamp` can
hold what no calendar has, and a string the character U+0000, which no column of PostgreSQL takes; both are refused
here, so that no code behind has to expect them. The lists of a request have a bound together: a million values fit into
the bytes of a request, and a handler that visits each would keep the process from everything else.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.meshkit.errors import FieldInvalid
from services.meshkit.text import is_storable

_REQUIRED = field_behavior_pb2.FieldBehavior.REQUIRED
_TELLS_WHEN_EMPTY = frozenset({FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_ENUM})
_MAX_VIOLATIONS = 50
MAX_VALUES = 10_000
"""The most values in all lists of a request together; ten times the longest list that the contract speaks of."""
_TIME = Timestamp.DESCRIPTOR.full_name
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_MAX_NANOS = 999_999_999


def check(request: Message) -> None:
    """Refuse a request, naming every faulty field at once.

    Raises:
        FieldInvalid: A field is missing, is no time, is no text, or has too many values.
    """
    _count(request, "", 0)
    if violations := dict(islice(faults(request), _MAX_VIOLATIONS)):
        raise FieldInvalid(violations=violations)


def _count(message: Message, prefix: str, counted: int) -> int:
    """Return the number of values in the lists of a message and of those within, added to a number."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if field.is_repeated:
            counted += len(value)
            if counted > MAX_VALUES:
                raise FieldInvalid.of(path, f"the lists of a request have at most {MAX_VALUES} values together")
        if field.message_type is not None and _holds_lists(field.message_type):
            for label, child in _children(message, field):
                counted = _count(child, f"{path}{label}.", counted)
    return counted


@lru_cache(maxsize=1024)
def _holds_lists(descriptor: Descriptor, seen: frozenset[str] = frozenset()) -> bool:
    if descriptor.full_name in seen:
        return False
    below = seen | {descriptor.full_name}
    return any(
        field.is_repeated or (field.message_type is not None and _holds_lists(field.message_type, below))
        for field in descriptor.fields
    )


def faults(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the paths of faulty fields, like `item.id` or `items[2].id`, each with its fault."""
    for field in _watched(message.DESCRIPTOR):
        path = f"{prefix}{field.name}"
        if _is_required(field) and _is_missing(message, field):
            yield path, "is required"
        elif field.type == FieldDescriptor.TYPE_STRING:
            held = getattr(message, field.name)
            if not is_storable(held if isinstance(held, str) else "".join(held)):
                yield path, "must not hold the character U+0000"
        elif field.message_type is not None:
            for label, child in _children(message, field):
                if not isinstance(child, Timestamp):
                    yield from faults(child, f"{path}{label}.")
                elif not _is_time(child):
                    yield f"{path}{label}", "must be a time in the years 1 to 9999"


def _is_time(moment: Timestamp) -> bool:
    return _FIRST_SECOND <= moment.seconds <= _LAST_SECOND and 0 <= moment.nanos <= _MAX_NANOS


@lru_cache(maxsize=1024)
def _watched(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Return the fields of a type that are checked, or may hold fields that are."""
    return tuple(field for field in descriptor.fields if _is_checked(field) or _leads_further(field, frozenset()))


def _is_checked(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_STRING or _is_required(field)


def _leads_further(field: FieldDescriptor, seen: frozenset[str]) -> bool:
    inner = field.message_type
    if inner is None or inner.full_name in seen or inner.full_name.startswith("google."):
        return inner is not None and inner.full_name == _TIME
    below = seen | {inner.full_name}
    return any(_is_checked(child) or _leads_further(child, below) for child in inner.fields)


@lru_cache(maxsize=4096)
def _is_required(field: FieldDescriptor) -> bool:
    return _REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def _is_missing(message: Message, field: FieldDescriptor) -> bool:
    if field.has_presence:
        # An empty string that was sent on purpose is as little of an answer as one that was left out.
        return not message.HasField(field.name) or (
            field.type in _TELLS_WHEN_EMPTY and not getattr(message, field.name)
        )
    if field.is_repeated or field.type in _TELLS_WHEN_EMPTY:
        return not getattr(message, field.name)
    return False


def _children(message: Message, field: FieldDescriptor) -> Iterator[tuple[str, Message]]:
    value = getattr(message, field.name)
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        if inner.fields_by_name["value"].message_type is not None:
            yield from ((f"[{key}]", child) for key, child in value.items())
    elif field.is_repeated:
        yield from ((f"[{index}]", child) for index, child in enumerate(value))
    elif message.HasField(field.name):
        yield "", value
