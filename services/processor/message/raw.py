"""The provider's own object as a Struct within bounds: of bytes, of depth, of members."""

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct

from services.processor.message.fields import clean

# Parsers of protobuf stop at a depth of 100 messages unless told otherwise. An object costs three of them, a list two,
# and the answer around `raw` takes the rest.
MAX_MESSAGE_DEPTH = 84
MAX_MEMBERS = 20_000
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
            made.append(None)
            self._member(made, len(made) - 1, value, depth, 0)
        return made

    def _member(self, owner: Any, key: Any, value: Any, depth: int, name_bytes: int) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS or (isinstance(value, str) and len(value) > self.budget):
            self.left_out += _OVERHEAD_BYTES + (len(value) if isinstance(value, str) else 0)
        elif isinstance(value, Mapping | list):
            self._container(owner, key, value, depth + (3 if isinstance(value, Mapping) else 2))
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
        owner[key] = self.object(value, depth) if isinstance(value, Mapping) else self._list(value, depth)


def bounded_struct(given: Mapping[Any, Any], max_bytes: int) -> tuple[Struct, int]:
    """Makes a Struct of a JSON object; its largest members are left out as far as the bound asks for it.

    Args:
        given: JSON as it was parsed; what JSON lacks (NaN, half surrogates) becomes what it has.
        max_bytes: Of the serialized Struct.

    Returns:
        The Struct, and about how many bytes were left out; 0 when it is whole.
    """
    copy = _Copy(max_bytes)
    made = copy.object(given, 3)
    copy.drop_largest()
    struct = Struct()
    struct.update(made)
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
