"""The time of the next attempt, and the state of an endpoint after an attempt."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from services.delivery.store.rows import DELIVERING, EndpointRow, State
from services.providers.retry_after import retry_after

JITTER = 0.2
FAILING_AFTER = 5
"""So many failures in a row, of whatever events, make an endpoint failing: then one request at a time probes it."""
_FIRST_PAUSE_SECONDS = 5.0
_DOUBLINGS = 10
_OUTAGE = timedelta(minutes=10)
"""So long without a success a receiver was away, and did not refuse a few events only."""
FIRST_WARNING, LAST_WARNING = 2, 3
DISABLED_REASON = "NO_SUCCESS"
GONE_REASON = "GONE"


@dataclass(frozen=True)
class Schedule:
    """The times of attempts.

    Args:
        pauses: Between the attempts of one delivery.
        failing_pause: The longest pause between attempts at a failing endpoint.
        longest_retry_after: The longest pause that a receiver can ask for.
        disable_after: The time without success that disables an endpoint.
    """

    pauses: tuple[timedelta, ...]
    failing_pause: timedelta
    longest_retry_after: timedelta
    disable_after: timedelta

    def next_attempt(self, failed: int, now: datetime, asked: timedelta | None) -> datetime | None:
        """Return the time of the next attempt of a delivery.

        Args:
            failed: The failed attempts so far, from 1.
            now: The present.
            asked: The pause that the receiver asked for.

        Returns:
            None when there is no further attempt.
        """
        if failed > len(self.pauses):
            return None
        return now + max(_jittered(self.pauses[failed - 1]), asked or timedelta())

    def asked_pause(self, header: str, now: datetime) -> timedelta | None:
        """Return the pause that an answer asks for by Retry-After, in seconds or as a date, up to the longest one."""
        asked = retry_after({"retry-after": header}, now=now)
        return None if asked is None else min(asked, self.longest_retry_after)

    def throttled_until(self, failures: int, now: datetime, asked: timedelta | None) -> datetime | None:
        """Return the time before which a failing endpoint gets no request, or None for no pause.

        Args:
            failures: Failures in a row.
            now: The present.
            asked: The longest pause that a receiver asked for.
        """
        own = timedelta()
        if failures >= FAILING_AFTER:
            seconds = _FIRST_PAUSE_SECONDS * 2.0 ** min(failures - FAILING_AFTER, _DOUBLINGS)
            own = min(timedelta(seconds=seconds), self.failing_pause)
        pause = max(_jittered(own), asked or timedelta())
        return now + pause if pause else None


@dataclass(frozen=True)
class Outcome:
    """The result of an attempt, as far as it concerns the endpoint.

    Args:
        is_delivered: Whether the receiver accepted the webhook.
        status: The HTTP status; 0 without an answer.
        reason: Why it failed; empty otherwise.
        asked: The pause that the receiver asked for, or None.
        is_first: Whether it was the first attempt of its delivery.
    """

    is_delivered: bool
    status: int
    reason: str
    asked: timedelta | None
    is_first: bool = True


def after(row: EndpointRow, outcomes: list[Outcome], schedule: Schedule, now: datetime) -> dict[str, object]:
    """Return the columns of an endpoint after attempts, in the order in which they ended.

    Args:
        row: The endpoint before.
        outcomes: The results of the attempts; not empty.
        schedule: The times.
        now: The present.
    """
    failures, since, succeeded_at = row.failures, row.failing_since, row.succeeded_at
    for outcome in outcomes:
        failures = 0 if outcome.is_delivered else _counted(failures, outcome)
        since = None if outcome.is_delivered else since or now
        succeeded_at = now if outcome.is_delivered else succeeded_at
    asked = max((one.asked for one in outcomes if one.asked is not None), default=None)
    state, reason = _state(row, outcomes, failures, since, schedule, now)
    return {
        "failures": failures,
        "failing_since": since,
        "succeeded_at": succeeded_at,
        "throttled_until": schedule.throttled_until(failures, now, asked),
        "state": state,
        "reason": reason,
        "warnings": max(row.warnings if since == row.failing_since else 0, _quarters(since, schedule, now)),
    }


def _quarters(since: datetime | None, schedule: Schedule, now: datetime) -> int:
    """Return the quarters of the time to the end of which operators are warned: two or three, or 0."""
    passed = 0 if since is None else int((now - since) * 4 / schedule.disable_after)
    return min(passed, LAST_WARNING) if passed >= FIRST_WARNING else 0


def ended_outage(row: EndpointRow, outcomes: list[Outcome], now: datetime) -> datetime | None:
    """Return the beginning of an outage that attempts ended, or None when there was none.

    Args:
        row: The endpoint before the attempts.
        outcomes: Their results.
        now: The present.
    """
    since = row.failing_since
    is_back = row.state is State.FAILING and any(one.is_delivered for one in outcomes)
    return since if is_back and since is not None and now - since >= _OUTAGE else None


def _counted(failures: int, failed: Outcome) -> int:
    """Count a failure. A repeated one lengthens no pause: the receiver may refuse that event only, and take others."""
    return failures + 1 if failed.is_first or failures < FAILING_AFTER else failures


def _state(
    row: EndpointRow,
    outcomes: list[Outcome],
    failures: int,
    since: datetime | None,
    schedule: Schedule,
    now: datetime,
) -> tuple[State, str]:
    if row.state not in DELIVERING:  # A caller paused it while the requests were under way.
        return row.state, row.reason
    if any(one.status == HTTPStatus.GONE for one in outcomes):
        return State.GONE, GONE_REASON
    if since is not None and now - since >= schedule.disable_after:
        return State.DISABLED, DISABLED_REASON
    if failures >= FAILING_AFTER or (row.state is State.FAILING and failures):
        return State.FAILING, outcomes[-1].reason
    return State.ACTIVE, ""


def _jittered(pause: timedelta) -> timedelta:
    return pause * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311 - spreads load, guards nothing
