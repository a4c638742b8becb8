"""Read JSON of a provider, which may hold anything: each reader returns its type or that type's empty value."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

_FRACTION = re.compile(r"(\.\d{1,6})\d*")
_UNKNOWN_YEARS = frozenset({1, 4501})
"""The years of Exchange's "no time": 0001-01-01 and 4501-01-01."""


def text(owner: Any, key: str, most: int = 2000) -> str:
    """Return a string member without characters that cannot be stored, cut to `most` characters."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return clean(value)[:most] if isinstance(value, str) else ""


def member(owner: Any, key: str) -> dict[str, Any]:
    """Return an object member."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return value if isinstance(value, dict) else {}


def objects(owner: Any, key: str) -> list[dict[str, Any]]:
    """Return the objects of a list member."""
    return [value for value in _list(owner, key) if isinstance(value, dict)]


def texts(owner: Any, key: str, most: int = 2000) -> Iterator[str]:
    """Yield the strings of a list member, each clean and cut to `most` characters."""
    for value in _list(owner, key):
        if isinstance(value, str):
            yield clean(value)[:most]


def number(owner: Any, key: str, least: int, most: int) -> int | None:
    """Return a whole number within bounds, or None."""
    value = owner.get(key) if isinstance(owner, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if least <= value <= most else None


def flag(owner: Any, key: str) -> bool:
    """Return whether a member is true."""
    return isinstance(owner, dict) and owner.get(key) is True


def clean(value: str) -> str:
    """Return a text without U+0000 and lone surrogates, which neither messages nor columns hold."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-16-le", "surrogatepass").decode(
        "utf-16-le", "replace"
    )  # fmt: skip


def naive_time(value: str) -> datetime | None:
    """Return a date and time without an offset; None when it is malformed or has one. Fractions keep microseconds."""
    moment = _parsed(value)
    return moment if moment is not None and moment.tzinfo is None else None


def aware_time(value: str) -> datetime | None:
    """Return a time in UTC; one without an offset is UTC. None when it is malformed or one of Exchange's "no time"."""
    moment = _parsed(value)
    if moment is None or moment.year in _UNKNOWN_YEARS:
        return None
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return None


def timestamp(moment: datetime | None) -> Timestamp | None:
    """Return a time as a message; None stays None."""
    if moment is None:
        return None
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def _parsed(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(_FRACTION.sub(r"\1", value))
    except ValueError:
        return None


def _list(owner: Any, key: str) -> list[Any]:
    value = owner.get(key) if isinstance(owner, dict) else None
    return value if isinstance(value, list) else []
