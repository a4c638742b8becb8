"""Reading JSON that may be anything: each reader gives its type or that type's empty value."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

_MAX_INT64 = 2**63 - 1
_DECIMAL_DIGITS = 19
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMPS = range(-62_135_596_800, 253_402_300_800)
"""The seconds of the years 1 to 9999, which a Timestamp holds."""


def text(owner: Any, key: str) -> str:
    """The member as a clean string; empty when it is something else."""
    value = owner.get(key) if isinstance(owner, dict) else None
    if not isinstance(value, str):
        return ""
    return value if value.isascii() and "\0" not in value else clean(value)


def members(owner: Any, key: str) -> Mapping[str, Any]:
    """The member as an object; empty when it is something else."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return value if isinstance(value, dict) else {}


def items(owner: Any, key: str) -> list[Any]:
    """The member as a list; empty when it is something else."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return value if isinstance(value, list) else []


def texts(owner: Any, key: str) -> Iterator[str]:
    """The strings of a list, clean, in order; other values are skipped."""
    for value in items(owner, key):
        if isinstance(value, str):
            yield clean(value)


def number(owner: Any, key: str) -> int:
    """The member as a whole number from 0 to 2^63-1, from a number or from decimal digits; 0 when it is neither."""
    value = owner.get(key) if isinstance(owner, dict) else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DECIMAL_DIGITS:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_INT64:
        return value
    return 0


def flag(owner: Any, key: str) -> bool:
    """Tells whether the member is there and true."""
    return isinstance(owner, dict) and owner.get(key) is True


def clean(value: str) -> str:
    """Makes a string fit for messages and for columns: no half surrogates, no NUL."""
    if "\0" in value:
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The moment as a message; None when there is none, or when it lies outside of what a Timestamp holds."""
    if moment is None:
        return None
    passed = moment - _EPOCH
    seconds = passed.days * 86400 + passed.seconds
    return Timestamp(seconds=seconds, nanos=passed.microseconds * 1000) if seconds in _TIMESTAMPS else None


def iso_time(value: str) -> datetime | None:
    """Reads an ISO 8601 time of any precision and offset; None when it is none, or the provider's "never" (year 1)."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.year <= 1:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def epoch_milliseconds(value: int) -> datetime | None:
    """Reads milliseconds since 1970; None for 0 and for what no calendar has."""
    if not value:
        return None
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def exceeds(value: Any, max_characters: int) -> bool:
    """Tells whether JSON holds more than a number of characters; a member counts as eight. It stops when it knows.

    Args:
        value: JSON as it was parsed, of any depth.
        max_characters: The bound.
    """
    left, waiting = max_characters, [value]
    for found in waiting:
        kind = type(found)
        if kind is str:
            left -= len(found)
        elif kind is dict or kind is list:
            left -= 8 * len(found)
            if left >= 0:
                waiting += found.values() if kind is dict else found
        if left < 0:
            return True
    return False
