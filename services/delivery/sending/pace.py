"""The pace of an endpoint: so many requests in a second."""

import time
from collections.abc import Callable

_BURST_SECONDS = 0.1


class Pace:
    """Spreads requests over time: after a pause, a tenth of a second's worth may go together.

    Args:
        monotonic: A monotonic clock, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counted_at = monotonic()
        self._ready = 1.0

    def ready(self, rate: int) -> int:
        """Return how many requests may go now.

        Args:
            rate: The largest number in a second, above 0.
        """
        now = self._monotonic()
        most = max(1.0, rate * _BURST_SECONDS)
        self._ready = min(self._ready + (now - self._counted_at) * rate, most)
        self._counted_at = now
        return int(self._ready)

    def take(self) -> None:
        """Count a request."""
        self._ready -= 1

    def seconds(self, rate: int) -> float:
        """Return the time until the next request may go."""
        return max(0.0, 1.0 - self._ready) / rate
