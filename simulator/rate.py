"""Limits of the kind: so many in a span of time."""

from collections import deque

from simulator.clock import Clock


class Rate:
    """How often each of several subjects did something lately.

    Args:
        clock: The simulated time.
        seconds: Length of the span.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._times: dict[str, deque[float]] = {}

    def take(self, subject: str, limit: int) -> bool:
        """Count one more, unless the limit is reached; 0 is no limit. Return whether it was counted."""
        now = self._clock.seconds()
        times = self._times.setdefault(subject, deque(maxlen=100_000))
        while times and times[0] <= now - self._seconds:
            times.popleft()
        if limit and len(times) >= limit:
            return False
        times.append(now)
        return True
