"""Things that happen a while after the call that caused them."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from simulator.clock import Clock


class Later:
    """Actions by the time at which they are due, of which time that a test skips is a part.

    Args:
        clock: The simulated time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = count()
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action after some seconds, at once when there are none to wait."""
        if seconds <= 0:
            action()
            return
        heapq.heappush(self._waiting, (self._clock.seconds() + seconds, next(self._numbers), action))
        asyncio.get_running_loop().call_later(seconds, self.run_due)

    def run_due(self) -> None:
        """Run what is due, in order; called before each call too, since the clock can be moved."""
        self._run(self._clock.seconds())

    def finish(self) -> None:
        """Run everything at once, before the state is saved for the last time."""
        self._run(float("inf"))

    def _run(self, until: float) -> None:
        while self._waiting and self._waiting[0][0] <= until:
            heapq.heappop(self._waiting)[2]()
