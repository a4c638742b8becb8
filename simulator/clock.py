"""The simulator's own time, which a test can move without waiting."""

import time
from datetime import UTC, datetime


class Clock:
    """Wall-clock time plus an offset that only the control API changes.

    Everything that expires (codes, tokens, subscriptions, watches, history) asks this clock. Waiting
    (latency, retries of pushes) happens in real time.
    """

    def __init__(self) -> None:
        self.offset_seconds = 0.0

    def seconds(self) -> float:
        """Return the simulated time in seconds since the epoch."""
        return time.time() + self.offset_seconds

    def milliseconds(self) -> int:
        """Return the simulated time in milliseconds since the epoch."""
        return int(self.seconds() * 1000)

    def now(self) -> datetime:
        """Return the simulated time, aware, in UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock by ``seconds``; negative goes back."""
        self.offset_seconds += seconds

    def move_to(self, moment: datetime) -> None:
        """Make ``moment`` the present."""
        self.offset_seconds = moment.timestamp() - time.time()
