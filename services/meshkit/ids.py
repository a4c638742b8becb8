"""Ids that we make: UUIDv7, so that indexes grow at their end."""

import os
import re
import time

from services.meshkit.errors import FieldInvalid

_NANOSECONDS_PER_MS = 1_000_000
_FRACTION_BITS = 12
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def new_id() -> str:
    """Make a UUIDv7 (RFC 9562) as a string: milliseconds, a 12-bit fraction of them, 62 random bits."""
    milliseconds, rest = divmod(time.time_ns(), _NANOSECONDS_PER_MS)
    fraction = (rest << _FRACTION_BITS) // _NANOSECONDS_PER_MS
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | fraction << 64
    value |= 0b10 << 62 | int.from_bytes(os.urandom(8)) >> 2
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(value: str) -> bool:
    """Tell whether a string is a UUID in its usual form: lower or upper case, with hyphens, nothing around it."""
    return _UUID.fullmatch(value) is not None


def check_id(field: str, value: str) -> str:
    """Take an id from a request.

    Args:
        field: The path of the field, for the message.
        value: The field's value in the request.

    Returns:
        The id in lower case.

    Raises:
        FieldInvalid: It is not a UUID.
    """
    if not is_id(value):
        raise FieldInvalid.of(field, "must be a UUID")
    return value.lower()
