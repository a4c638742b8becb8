"""The provider's own object as a Struct within bounds: of bytes, of depth, of members."""

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson
from google.protobuf.struct_pb2 import NullValue, Struct, Value

from services.message.fields import clean

# Parsers of protobuf stop at a depth of 100 messages unless set otherwise. An object costs three of them, a list two,
# and the answer around `raw` takes the rest.
MAX_MESSAGE_DEPTH = 84
MAX_MEMBERS = 20_000
_SMALL_BYTES = 256 * 1024
_OVERHEAD_BYTES = 16
"""About what a member costs beside its name and its text."""


class _Copy:
    """A copy of JSON that knows its leaves, so that the largest can be left out."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.size = 0
        self.left_out = 0
        self._leaves: list[tuple[int, Any, Any]] = []
        self._members = 0

    def object(self, given: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        """Copies an object; its members come with the names cleaned."""
        made: dict[str, Any] = {}
        for key, value in given.items():
            if self._is_full(len(given) - len(made)):
                break
            name = clean(str(key))
            self._member(made, name, value, depth, len(name.encode()))
        return made

    def drop_largest(self) -> None:
        """Leaves out the largest leaves until the rest fits."""
        if self.size <= self.budget:
            return
        for size, owner, key in sorted(self._leaves, key=lambda leaf: -leaf[0]):
            if self.size <= self.budget:
                return
            if isinstance(owner, dict):
                del owner[key]
            else:
                owner[key] = None
            self.size -= size
            self.left_out += size

    def _list(self, given: list[Any], depth: int) -> list[Any]:
        made: list[Any] = []
        for value in given:
            if self._is_full(len(given) - len(made)):
                break
            made.append(None)
            self._member(made, len(made) - 1, value, depth, 0)
        return made

    def _is_full(self, left: int) -> bool:
        """Tells whether the bound of members is reached; the rest of a list or an object is then left out at once."""
        if self._members < MAX_MEMBERS:
            return False
        self.left_out += left * _OVERHEAD_BYTES
        return True

    def _member(self, owner: Any, key: Any, value: Any, depth: int, name_bytes: int) -> None:
        self._members += 1
        if isinstance(value, str) and len(value) > self.budget:
            self.left_out += _OVERHEAD_BYTES + len(value)
        elif isinstance(value, dict | list):
            self._container(owner, key, value, depth + (3 if isinstance(value, dict) else 2))
            self.size += name_bytes + _OVERHEAD_BYTES
        else:
            leaf = _leaf(value)
            size = name_bytes + _OVERHEAD_BYTES + (len(leaf.encode()) if isinstance(leaf, str) else 0)
            owner[key] = leaf
            self.size += size
            self._leaves.append((size, owner, key))

    def _container(self, owner: Any, key: Any, value: Any, depth: int) -> None:
        if depth > MAX_MESSAGE_DEPTH:
            self.left_out += _OVERHEAD_BYTES
            return
        owner[key] = self.object(value, depth) if isinstance(value, dict) else self._list(value, depth)


def bounded_struct(given: Mapping[Any, Any], max_bytes: int) -> tuple[Struct, int]:
    """Makes a Struct of a JSON object; its largest members are left out as far as the bound asks for it.

    Args:
        given: JSON as it was parsed; what JSON lacks (NaN, half surrogates) becomes what it has.
        max_bytes: Of the serialized Struct.

    Returns:
        The Struct, and about how many bytes were left out; 0 when it is whole.
    """
    whole = _whole(given, max_bytes)
    return (whole, 0) if whole is not None else _cut(given, max_bytes)


def _whole(given: Mapping[Any, Any], max_bytes: int) -> Struct | None:
    """The Struct of an object that is small and in order, as nearly all are; None when that is not certain.

    A check of the object as a whole need not be repeated for each of its members: the time is a quarter.
    """
    try:
        shown = orjson.dumps(given)
    except TypeError:  # half surrogates, huge numbers, depth without end
        return None
    if len(shown) > _SMALL_BYTES or b"\\u0000" in shown or shown.count(b",") + shown.count(b":") > MAX_MEMBERS:
        return None
    struct = Struct()
    try:
        _fill(struct.fields, given, 3)
    except _NotInOrderError:
        return None
    return struct if struct.ByteSize() <= max_bytes else None


class _NotInOrderError(Exception):
    """Too deep, or nothing that JSON has."""


def _fill(fields: MutableMapping[str, Value], given: Mapping[Any, Any], depth: int) -> None:
    for name, value in given.items():
        if type(value) is str:
            fields[name].string_value = value
        else:
            _set(fields[name], value, depth)


def _set(made: Value, value: Any, depth: int) -> None:
    kind = type(value)
    if kind is str:
        made.string_value = value
    elif kind is dict and depth + 3 <= MAX_MESSAGE_DEPTH:
        made.struct_value.SetInParent()
        _fill(made.struct_value.fields, value, depth + 3)
    elif kind is list and depth + 2 <= MAX_MESSAGE_DEPTH:
        made.list_value.SetInParent()
        add = made.list_value.values.add
        for item in value:
            _set(add(), item, depth + 2)
    elif kind is bool:
        made.bool_value = value
    elif value is None:
        made.null_value = NullValue.NULL_VALUE
    elif kind is int or (kind is float and math.isfinite(value)):
        made.number_value = value
    else:
        raise _NotInOrderError


def _cut(given: Mapping[Any, Any], max_bytes: int) -> tuple[Struct, int]:
    copy = _Copy(max_bytes)
    made = copy.object(given, 3)
    copy.drop_largest()
    struct = Struct()
    _fill(struct.fields, made, 3)
    while struct.ByteSize() > max_bytes and struct.fields:
        largest = max(struct.fields, key=lambda name: struct.fields[name].ByteSize())
        copy.left_out += struct.fields[largest].ByteSize()
        del struct.fields[largest]
    return struct, copy.left_out


def _leaf(value: Any) -> Any:
    """A value that JSON and Struct both have."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None
