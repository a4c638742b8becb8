"""How long a worker waits before it tries again, and after how many tries it stops."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.processor.settings import ProcessorSettings


@dataclass(frozen=True)
class RetryPolicy:
    """How long what is waited for.

    Args:
        now: The present.
        missing: How long a message must be gone before it counts as deleted.
        attempts: Failed tries after which an event goes out without its message.
        announce_after: Age at which it does so in any case.
        give_up_after: How long content is tried for.
        retry_base: First wait after a failure.
        retry_max: Longest wait.
    """

    now: datetime
    missing: timedelta
    attempts: int
    announce_after: timedelta
    give_up_after: timedelta
    retry_base: timedelta
    retry_max: timedelta

    @classmethod
    def from_settings(cls, settings: ProcessorSettings, now: datetime) -> "RetryPolicy":
        """As the settings have it, at a time."""
        return cls(
            now=now,
            missing=timedelta(seconds=settings.missing_seconds),
            attempts=settings.fetch_attempts,
            announce_after=timedelta(seconds=settings.announce_after_seconds),
            give_up_after=timedelta(seconds=settings.give_up_seconds),
            retry_base=timedelta(seconds=settings.retry_base_seconds),
            retry_max=timedelta(seconds=settings.retry_max_seconds),
        )

    def after(self, attempts: int, base: timedelta | None = None) -> datetime:
        """When to try again: exponentially later, with jitter."""
        wait: timedelta = min((base or self.retry_base) * 2 ** min(attempts, 20), self.retry_max)
        return self.now + wait * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
