"""Bounds log lines that a caller can cause at will, so that they cannot wash out the log."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_MAX_KEYS = 1000


@dataclass
class _Window:
    ends_at: float
    written: int = 0
    left_out: int = 0


class LogBudget:
    """Lets a number of lines of one kind through in a period, and counts the rest.

    Args:
        lines: The most lines of a kind in a period.
        seconds: The length of a period.
        monotonic: The time in seconds.
    """

    def __init__(self, lines: int, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lines = lines
        self._seconds = seconds
        self._monotonic = monotonic
        self._windows: dict[Hashable, _Window] = {}

    def admit(self, kind: Hashable) -> int | None:
        """Return how many lines of this kind were left out since the last one, or None when this one is left out.

        Past a thousand kinds in one period, further kinds share one budget.
        """
        now = self._monotonic()
        window = self._window(kind, now)
        if now >= window.ends_at:
            window.ends_at, window.written = now + self._seconds, 0
        if window.written >= self._lines:
            window.left_out += 1
            return None
        window.written += 1
        left_out, window.left_out = window.left_out, 0
        return left_out

    def _window(self, kind: Hashable, now: float) -> _Window:
        if kind not in self._windows and len(self._windows) >= _MAX_KEYS:
            kind = None
        return self._windows.setdefault(kind, _Window(now + self._seconds))
