"""The wait that a provider asks for, in each form that the standard and Google have."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.providers.retry_after import retry_after

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def seconds(headers: dict[str, str], body: Any = None) -> float | None:
    wait = retry_after(headers, body, NOW)
    return None if wait is None else wait.total_seconds()


@pytest.mark.parametrize("name", ["Retry-After", "retry-after", "RETRY-AFTER"])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("0.5", 0.5),
        ("999999", 3600.0),
        ("9" * 400, 3600.0),
        ("Fri, 27 Nov 2026 12:01:00 GMT", 60.0),
        ("Friday, 27-Nov-26 12:01:00 GMT", 60.0),
        ("Fri Nov 27 12:01:00 2026", 60.0),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 0.0),
        ("Fri, 27 Nov 2036 12:00:00 GMT", 3600.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
        ("Fri, 99 Nov 2026 12:01:00 GMT", None),
    ],
)
def test_the_header_is_read_as_seconds_or_a_date_and_bounded(name: str, said: str, expected: float | None) -> None:
    assert expected == seconds({name: said})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("User-rate limit exceeded.  Retry after 2026-11-27T12:15:00.000Z", 900.0),
        ("User-rate limit exceeded.  Retry after 2026-11-27T12:00:30Z (Mail sending)", 30.0),
        ("retry after 2026-11-27T13:00:30+01:00", 30.0),
        ("Retry after 2026-11-27T12:00:30", 30.0),
        ("Retry after 2030-01-01T00:00:00Z", 3600.0),
        ("Retry after 2020-01-01T00:00:00Z", 0.0),
        ("Please retry after 12 seconds.", 12.0),
        ("Retry after 2026-99-99T00:00:00Z", None),
        ("Retry after a while", None),
        ("x" * 5000 + "Retry after 2026-11-27T12:00:30Z", None),
        ("", None),
    ],
)
def test_googles_sentence_is_read_wherever_the_error_has_it(message: str, expected: float | None) -> None:
    assert expected == seconds({}, {"error": {"code": 429, "message": message}})
    assert expected == seconds({}, {"error": {"errors": [{"reason": "rateLimitExceeded", "message": message}]}})


def test_googles_retry_info_is_read() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}

    assert 1.5 == seconds({}, {"error": {"details": [{"reason": "x"}, info]}})


def test_the_header_takes_precedence_and_the_body_helps_an_unreadable_one() -> None:
    body = {"error": {"message": "Retry after 2026-11-27T12:15:00Z"}}

    assert 7.0 == seconds({"Retry-After": "7"}, body)
    assert 900.0 == seconds({"Retry-After": "soon"}, body)


@pytest.mark.parametrize(
    "body", [{}, {"error": "x"}, {"error": {"message": 7, "errors": 3, "details": [1, None, {"retryDelay": 7}]}}]
)
def test_a_body_of_any_other_shape_names_no_time(body: Any) -> None:
    assert None is seconds({}, body)
