"""Cursors: the position of a reader as an opaque string.

A cursor names the event just before it, not only a number. A store that was restored from a backup lacks the events
that came after the backup. It does not find the cursor's event, and refuses the cursor instead of skipping silently.
This needs no bookkeeping outside of the store.
"""

import hashlib
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.meshkit import opaque
from services.processor.stream.errors import CursorInvalid

EPOCH_BYTES = 6
TAG_BYTES = 6
NO_TAG = bytes(TAG_BYTES)
_FORMAT = struct.Struct(f">B{EPOCH_BYTES}sq{TAG_BYTES}s")
_VERSION = 1
_CHECK_BYTES = 3
_CHARACTERS = 32
"""A whole number of base64 groups: there is no padding, and each cursor has one spelling."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
"""A time with its offset (RFC 3339, 5.6)."""


@dataclass(frozen=True)
class Cursor:
    """A place in the stream.

    Args:
        epoch: The epoch of the store that issued the position.
        position: The position of the last event before the cursor; 0 before all events.
        tag: The end of that event's id.
    """

    epoch: bytes
    position: int
    tag: bytes = NO_TAG

    def write(self) -> str:
        """Return the string that consumers get."""
        packed = _FORMAT.pack(_VERSION, self.epoch, self.position, self.tag)
        return opaque.encode(packed + _check(packed))


def tag_of(event_id: UUID | str | None) -> bytes:
    """Return the end of an event's id, which is random."""
    return NO_TAG if event_id is None else UUID(str(event_id)).bytes[-TAG_BYTES:]


def read_cursor(value: str, field: str = "cursor") -> Cursor:
    """Decode a cursor.

    Args:
        value: The string from the request.
        field: The request's field, for the error.

    Raises:
        CursorInvalid: The string was altered, or mailmesh did not issue it.
    """
    packed, check = _decoded(value, field)
    version, epoch, position, tag = _FORMAT.unpack(packed)
    if version != _VERSION or check != _check(packed) or position < 0:
        raise _invalid(field)
    return Cursor(epoch, position, tag)


def read_time(value: str) -> datetime | None:
    """Return the time that stands in the place of a cursor, as `2026-11-28T21:00:00Z`; None for another value.

    Raises:
        CursorInvalid: A text that is meant as a time is none: it has a colon, which no cursor has, or a digit first,
            where every cursor has a letter.
    """
    if ":" not in value and not value[:1].isdigit():
        return None
    with suppress(ValueError):  # no such day or hour
        if _TIME.fullmatch(value):
            return datetime.fromisoformat(value)
    raise CursorInvalid(violations={"cursor": "must be a time with its offset, such as 2026-11-28T21:00:00Z"})


def is_cursor(value: str | int) -> bool:
    """Return whether a value is a cursor that mailmesh may have issued."""
    try:
        read_cursor(str(value))
    except CursorInvalid:
        return False
    return True


def _decoded(value: str, field: str) -> tuple[bytes, bytes]:
    try:
        raw = opaque.decode(value, _CHARACTERS)
    except opaque.NotOpaqueError as exc:
        raise _invalid(field) from exc
    if len(raw) != _FORMAT.size + _CHECK_BYTES:
        raise _invalid(field)
    return raw[: _FORMAT.size], raw[_FORMAT.size :]


def _check(packed: bytes) -> bytes:
    """Return a checksum that detects mistakes. It does not prevent forgery: a cursor grants nothing."""
    return hashlib.blake2b(packed, digest_size=_CHECK_BYTES).digest()


def _invalid(field: str) -> CursorInvalid:
    return CursorInvalid(violations={field: "is not a cursor that mailmesh issued"})
