"""The dates of Gmail's search."""

from datetime import UTC, datetime

import pytest

from simulator.google.terms import moment


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026/03/08", (2026, 3, 8, 8)),
        ("2026/03/09", (2026, 3, 9, 7)),
        ("2026/11/01", (2026, 11, 1, 7)),
        ("11/02/2026", (2026, 11, 2, 8)),
        ("2026-07-01", (2026, 7, 1, 7)),
    ],
)
def test_a_date_is_midnight_in_the_pacific_zone(text, utc):
    assert int(datetime(*utc, tzinfo=UTC).timestamp() * 1000) == moment(text)
