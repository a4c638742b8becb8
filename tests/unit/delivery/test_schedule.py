"""The times of attempts, and the state of an endpoint, by a clock that the test moves."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest

from services.delivery.sending.schedule import FAILING_AFTER, JITTER, Outcome, Schedule, after
from services.delivery.server import schedule_of
from services.delivery.settings import DeliverySettings
from services.delivery.store.rows import EndpointRow, State
from services.meshkit.settings import load

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
DELIVERED = Outcome(is_delivered=True, status=204, reason="", asked=None)
FAILED = Outcome(is_delivered=False, status=500, reason="HTTP_STATUS", asked=None)
GONE = Outcome(is_delivered=False, status=410, reason="HTTP_STATUS", asked=None)


@pytest.fixture
def schedule(tmp_path) -> Schedule:
    paths = dict.fromkeys(("tls_cert", "tls_key", "tls_ca"), tmp_path)
    return schedule_of(load(DeliverySettings, database_url="postgresql://x", **paths))


def endpoint(**changes: object) -> EndpointRow:
    values: dict[str, object] = {
        **dict.fromkeys(("endpoint_id", "display_name", "url", "public_key", "sealed_by", "reason", "position"), ""),
        "tenant_ids": [],
        "providers": [],
        "event_types": [],
        "header_names": [],
        **dict.fromkeys(("sealed_headers", "sealed_keys"), b""),
        **dict.fromkeys(("view", "timeout_ms", "concurrency", "signature", "failures", "revision"), 0),
        **dict.fromkeys(("failing_since", "succeeded_at", "throttled_until"), None),
        "created_at": NOW,
        "state": State.ACTIVE,
    }
    return EndpointRow(**{**values, **changes})  # type: ignore[arg-type]


def test_ten_attempts_span_three_days(schedule: Schedule) -> None:
    due = [schedule.next_attempt(failed, NOW, None) for failed in range(1, 11)]

    assert due.pop() is None
    spans = [at - NOW for at in due if at is not None]
    assert timedelta(days=3) < list(accumulate(schedule.pauses))[-1] < timedelta(days=4)
    for span, pause in zip(spans, schedule.pauses, strict=True):
        assert pause * (1 - JITTER) <= span <= pause * (1 + JITTER)


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("120", 120),
        ("Fri, 27 Nov 2026 12:05:00 GMT", 300),
        ("999999", 3600),
        ("Fri, 27 Nov 2020 12:05:00 GMT", 0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms_up_to_a_bound(schedule: Schedule, header: str, asked: int | None) -> None:
    assert schedule.asked_pause(header, NOW) == (None if asked is None else timedelta(seconds=asked))


def test_a_pause_that_a_receiver_asks_for_holds_back_the_whole_endpoint(schedule: Schedule) -> None:
    asked = Outcome(is_delivered=False, status=503, reason="HTTP_STATUS", asked=timedelta(minutes=20))
    values = after(endpoint(), [asked], schedule, NOW)

    assert values["throttled_until"] == NOW + timedelta(minutes=20)
    assert values["state"] is State.ACTIVE


def test_failures_in_a_row_make_an_endpoint_failing_and_one_success_ends_that(schedule: Schedule) -> None:
    row = endpoint()
    states = []
    for _ in range(FAILING_AFTER):
        row = endpoint(**{**vars(row), **after(row, [FAILED], schedule, NOW)})
        states.append(row.state)

    assert states == [*[State.ACTIVE] * (FAILING_AFTER - 1), State.FAILING]
    assert row.throttled_until is not None
    values = after(row, [DELIVERED], schedule, NOW)
    assert (State.ACTIVE, 0, None, None) == (
        values["state"], values["failures"], values["failing_since"], values["throttled_until"]
    )  # fmt: skip


def test_pauses_of_a_failing_endpoint_grow_up_to_their_bound(schedule: Schedule) -> None:
    pauses = [schedule.throttled_until(failures, NOW, None) for failures in range(FAILING_AFTER, FAILING_AFTER + 30)]
    longest = schedule.failing_pause * (1 + JITTER)

    assert all(at is not None and at - NOW <= longest for at in pauses)
    assert pauses[0] is not None
    assert pauses[0] - NOW <= timedelta(seconds=6)


def test_five_days_without_success_disable_an_endpoint_and_less_does_not(schedule: Schedule) -> None:
    for days, state in ((4.9, State.FAILING), (5, State.DISABLED)):
        row = endpoint(state=State.FAILING, failures=9, failing_since=NOW - timedelta(days=days))
        assert state is after(row, [FAILED], schedule, NOW)["state"]


def test_410_ends_delivery_and_a_caller_who_paused_meanwhile_keeps_the_pause(schedule: Schedule) -> None:
    assert State.GONE is after(endpoint(), [DELIVERED, GONE], schedule, NOW)["state"]
    assert State.PAUSED is after(endpoint(state=State.PAUSED), [GONE], schedule, NOW)["state"]
