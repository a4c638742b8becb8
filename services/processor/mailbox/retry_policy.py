"""The waits between retries, and the bounds after which a worker stops retrying."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.processor.settings import ProcessorSettings


@dataclass(frozen=True)
class RetryPolicy:
    """The bounds of retries at a point in time.

    Args:
        now: The present time.
        missing: How long a message must be missing before it counts as deleted.
        attempts: The number of failed attempts after which an event goes out without its message.
        announce_after: The age at which it goes out in any case.
        give_up_after: How long its content is still fetched afterwards.
        retry_base: The first wait after a failure.
        retry_max: The longest wait.
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
        """Return the bounds from the settings, at a point in time."""
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
        """Return when to retry: exponentially later, with jitter."""
        wait: timedelta = min((base or self.retry_base) * 2 ** min(attempts, 20), self.retry_max)
        return self.now + wait * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
