"""A confirmation serves the call that it was issued for, by the same caller, for its time."""

from datetime import timedelta

import pytest

from services.agents.confirmation import Confirmations
from services.meshkit.clock import ManualClock

ARGUMENTS = {"to": [{"address": "a@example.com"}], "subject": "Hello"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def confirmations(clock: ManualClock) -> Confirmations:
    return Confirmations(None, 60, clock)


def test_it_serves_the_same_call(confirmations: Confirmations) -> None:
    handle = confirmations.issue("key", "send_mail", ARGUMENTS)

    assert confirmations.accepts(handle, "key", "send_mail", dict(reversed(ARGUMENTS.items())))


@pytest.mark.parametrize(
    ("caller", "tool", "arguments"),
    [
        ("another", "send_mail", ARGUMENTS),
        ("key", "send_reply", ARGUMENTS),
        ("key", "send_mail", ARGUMENTS | {"subject": "Bye"}),
        ("key", "send_mail", {}),
    ],
)
def test_it_serves_no_other_call(confirmations: Confirmations, caller: str, tool: str, arguments: dict) -> None:
    handle = confirmations.issue("key", "send_mail", ARGUMENTS)

    assert not confirmations.accepts(handle, caller, tool, arguments)


@pytest.mark.parametrize("handle", ["", ".", "x.y", "9999999999.", "\u00e9.\u00e9", "1" * 200, "1.\ud800", "\udfff.1"])
def test_inventions_are_refused(confirmations: Confirmations, handle: str) -> None:
    assert not confirmations.accepts(handle, "key", "send_mail", ARGUMENTS)


def test_it_ends_with_its_time_and_cannot_be_extended(confirmations: Confirmations, clock: ManualClock) -> None:
    handle = confirmations.issue("key", "send_mail", ARGUMENTS)
    clock.advance(timedelta(seconds=61))
    later = f"{int(clock.now().timestamp()) + 60}.{handle.partition('.')[2]}"

    assert not confirmations.accepts(handle, "key", "send_mail", ARGUMENTS)
    assert not confirmations.accepts(later, "key", "send_mail", ARGUMENTS)
