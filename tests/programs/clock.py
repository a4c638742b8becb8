"""A clock that stands still until a test moves it."""

import datetime as dt

import pytest

from services.meshkit.clock import ManualClock

START = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves: `clock.advance(60)`."""
    return ManualClock(START)
