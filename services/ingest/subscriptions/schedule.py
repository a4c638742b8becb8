"""When a subscription is renewed, and when a failed step is retried."""

import random
from datetime import datetime, timedelta

from services.providers.names import GOOGLEWS

GMAIL_RENEWAL = timedelta(hours=24)
SHORTEST_RENEWAL = timedelta(seconds=30)
FIRST_RETRY = timedelta(seconds=15)
LONGEST_RETRY = timedelta(hours=1)
PUSH_RETRY = timedelta(days=1)
JITTER = 0.1


def renewal_time(provider: str, now: datetime, expires_at: datetime, *, is_of_mail: bool = True) -> datetime:
    """Return when to renew: after about half of the remaining life, Gmail's watch daily at the latest, with jitter."""
    half = (expires_at - now) / 2
    span = min(half, GMAIL_RENEWAL) if provider == GOOGLEWS and is_of_mail else half
    return now + max(span * _jitter(), SHORTEST_RENEWAL)


def retry_time(now: datetime, failures: int, retry_after: timedelta | None, *, is_waiting_for_person: bool) -> datetime:
    """Return when to retry: after a growing delay, hourly where a person has to act, never before `retry_after`."""
    grown = LONGEST_RETRY if is_waiting_for_person else FIRST_RETRY * 2 ** min(max(failures - 1, 0), 12)
    return now + max(min(grown, LONGEST_RETRY) * _jitter(), retry_after or timedelta())


def push_retry_time(now: datetime) -> datetime:
    """Return when pushes of a calendar are retried whose subscription was refused: in about a day."""
    return now + PUSH_RETRY * _jitter()


def _jitter() -> float:
    return 1 + random.uniform(-JITTER, JITTER)  # noqa: S311 - spreads load, guards nothing
