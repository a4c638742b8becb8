"""A long answer as JSON for another process, in pieces: no reading of a piece holds the interpreter's lock for long."""

import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from services.processor.mailbox.parsing import parse_any

_HEAD = struct.Struct(">cI")
_PIECE_BYTES = 64 * 1024
_WHOLE, _TEXT, _LIST, _OBJECT, _GROUP, _NAMED = b"W", b"T", b"L", b"O", b"G", b"N"
"""The kinds of pieces: JSON; the text of a long string; a list and an object of pieces; neighbours of one of them as
JSON; the name of the long member that follows."""


def write(value: Any) -> bytes:
    """Write JSON in pieces.

    Raises:
        RecursionError: It is nested too deep.
    """
    return b"".join(_pieces(value))


def read(data: bytes) -> Any:
    """Read the JSON that `write` wrote.

    Raises:
        ValueError: The bytes are of another form.
    """
    try:
        return _Reader(data).value()
    except (struct.error, TypeError, RecursionError) as exc:
        raise ValueError("no pieces of JSON") from exc


def written(value: Any) -> bytes:
    """Write JSON, whatever a provider's deviations have left in it."""
    try:
        return orjson.dumps(value)
    except TypeError:  # half surrogates, numbers without end, great depth
        return json.dumps(value).encode()


def _pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, str) and len(value) > _PIECE_BYTES:
        yield from _piece(_TEXT, value.encode("utf-8", "surrogatepass"))
    elif len(data := written(value)) <= _PIECE_BYTES or not isinstance(value, dict | list):
        yield from _piece(_WHOLE, data)
    elif isinstance(value, list):
        yield from _container(_LIST, b"[%b]", ((b"", item) for item in value))
    else:
        yield from _container(_OBJECT, b"{%b}", ((written(name) + b":", item) for name, item in value.items()))


def _container(kind: bytes, form: bytes, members: Iterable[tuple[bytes, Any]]) -> Iterator[bytes]:
    groups = [list(_group(form, group)) for group in _groups(members)]
    yield _HEAD.pack(kind, len(groups))
    for group in groups:
        yield from group


def _group(form: bytes, group: list[bytes] | tuple[bytes, Any]) -> Iterator[bytes]:
    if isinstance(group, list):
        yield from _piece(_GROUP, form % b",".join(group))
        return
    name, value = group
    if name:
        yield from _piece(_NAMED, name[:-1])
    yield from _pieces(value)


def _groups(members: Iterable[tuple[bytes, Any]]) -> Iterator[list[bytes] | tuple[bytes, Any]]:
    """Yield neighbours that fill a piece, as they are written, and each long member alone."""
    held: list[bytes] = []
    size = 0
    for name, value in members:
        data = name + written(value)
        size += len(data) + 1
        if held and size > _PIECE_BYTES:
            yield held
            held, size = [], len(data) + 1
        if size > _PIECE_BYTES:
            yield name, value
            size = 0
        else:
            held.append(data)
    if held:
        yield held


def _piece(kind: bytes, data: bytes) -> Iterator[bytes]:
    yield _HEAD.pack(kind, len(data))
    yield data


class _Reader:
    """Reads pieces in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def value(self) -> Any:
        kind, length = self._head()
        if kind == _LIST:
            return self._list(length)
        if kind == _OBJECT:
            return self._object(length)
        data = self._take(length)
        return data.decode("utf-8", "surrogatepass") if kind == _TEXT else parse_any(data)

    def _list(self, groups: int) -> list[Any]:
        made: list[Any] = []
        for _ in range(groups):
            if self._is_next(_GROUP):
                made += self._taken()
            else:
                made.append(self.value())
        return made

    def _object(self, groups: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for _ in range(groups):
            if self._is_next(_GROUP):
                made.update(self._taken())
            else:
                name = self._taken()
                made[name] = self.value()
        return made

    def _taken(self) -> Any:
        _, length = self._head()
        return parse_any(self._take(length))

    def _is_next(self, kind: bytes) -> bool:
        return self._data[self._position : self._position + 1] == kind

    def _head(self) -> tuple[bytes, int]:
        kind, length = _HEAD.unpack_from(self._data, self._position)
        self._position += _HEAD.size
        return kind, length

    def _take(self, length: int) -> bytes:
        begin, self._position = self._position, self._position + length
        if self._position > len(self._data):
            raise ValueError("no pieces of JSON")
        return self._data[begin : self._position]
