"""A bounded cache in the memory of one process."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Keeps values up to a number of entries and, if asked to, up to an age.

    A full cache evicts the least recently used entry: reading an entry and replacing it both count as use. Until the
    cache is full for the first time nothing is evicted, and reading then leaves the order alone, which is cheaper. The
    cache is for one event loop. Threads must hold a lock around each call.

    Args:
        entries: The largest number of entries.
        seconds: The age at which an entry expires, counted from its last `put`. None keeps entries until they are
            evicted, and the clock is then never read.
        monotonic: A clock in seconds that only grows.
    """

    __slots__ = ("_entries", "_expires_at", "_monotonic", "_seconds", "_values")

    def __init__(
        self, entries: int, seconds: float | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._entries = entries
        self._seconds = seconds
        self._monotonic = monotonic
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._expires_at: dict[Key, float] = {}

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None if the key is unknown or its entry has expired."""
        value = self._values.get(key)
        if value is None:
            return None
        if self._seconds is not None and self._expires_at[key] <= self._monotonic():
            self.discard(key)
            return None
        if len(self._values) >= self._entries:
            self._values.move_to_end(key)
        return value

    def put(self, key: Key, value: Value, read_at: float | None = None) -> None:
        """Store a value.

        Args:
            key: The key.
            value: Its value; not None.
            read_at: The time of the clock from which the age counts, for a value that may have become stale while it
                was being read. Default: now.
        """
        if self._seconds is not None:
            self._expires_at[key] = (self._monotonic() if read_at is None else read_at) + self._seconds
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._entries:
            evicted, _ = self._values.popitem(last=False)
            self._expires_at.pop(evicted, None)

    def discard(self, key: Key) -> None:
        """Remove the entry of a key. Safe to call for an unknown key."""
        self._values.pop(key, None)
        self._expires_at.pop(key, None)

    def clear(self) -> None:
        """Remove all entries."""
        self._values.clear()
        self._expires_at.clear()

    def __len__(self) -> int:
        return len(self._values)
