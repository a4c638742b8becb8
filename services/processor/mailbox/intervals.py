"""The intervals between the reconciliations of a mailbox."""

from dataclasses import dataclass
from datetime import timedelta

from services.processor.settings import ProcessorSettings


@dataclass(frozen=True)
class Intervals:
    """The intervals between the reconciliations of a mailbox.

    Args:
        polled: Of a mailbox without pushes.
        active: Of a mailbox with pushes that had an event within the last hours.
        idle: The longest one of a mailbox with pushes.
    """

    polled: timedelta
    active: timedelta
    idle: timedelta

    @classmethod
    def of(cls, settings: ProcessorSettings) -> "Intervals":
        """Return the intervals from the settings."""
        longest = settings.reconcile_seconds
        return cls(
            timedelta(seconds=settings.poll_seconds),
            timedelta(seconds=min(settings.reconcile_active_seconds, longest)),
            timedelta(seconds=min(settings.reconcile_idle_seconds, longest)),
        )

    @property
    def longest(self) -> timedelta:
        """The longest interval of any mailbox."""
        return max(self.polled, self.active, self.idle)
