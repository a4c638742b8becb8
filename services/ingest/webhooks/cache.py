"""A bounded memory of what was looked up lately."""

import time
from collections import OrderedDict
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class BoundedCache(Generic[_Value]):
    """Remembers values for a while; the one that was not asked for the longest goes first when it is full.

    Args:
        entries: How many at most.
        seconds: How long a value is believed.
    """

    def __init__(self, entries: int, seconds: float) -> None:
        self._entries = entries
        self._seconds = seconds
        self._values: OrderedDict[str, tuple[float, _Value]] = OrderedDict()

    def get(self, key: str) -> _Value | None:
        """Gives a value that is still believed, or None."""
        known = self._values.get(key)
        if known is None:
            return None
        if known[0] < time.monotonic():
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return known[1]

    def put(self, key: str, value: _Value) -> None:
        """Remembers a value from now on."""
        self._values[key] = (time.monotonic() + self._seconds, value)
        self._values.move_to_end(key)
        if len(self._values) > self._entries:
            self._values.popitem(last=False)

    def forget_all(self) -> None:
        """Forgets everything: something changed and it is not known what."""
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)
