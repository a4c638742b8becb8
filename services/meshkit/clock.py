"""The time, as something that can be handed in."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only grow, from an unknown beginning."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only grow, from an unknown beginning."""
        return time.monotonic()


class ManualClock:
    """A clock that stands until it is moved: for tests and for replaying.

    Args:
        now: Where it stands at first. Aware.
    """

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Where the clock stands."""
        return self._now

    def monotonic(self) -> float:
        """Seconds by which the clock was moved forward so far."""
        return self._monotonic

    def advance(self, by: timedelta | float) -> datetime:
        """Move the clock forward.

        Args:
            by: A span, or seconds. Not negative.

        Returns:
            Where it stands now.
        """
        span = by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._now += span
        self._monotonic += span.total_seconds()
        return self._now
