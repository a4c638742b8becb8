"""Cursors as strings."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.processor.stream.cursor import EPOCH_BYTES, TAG_BYTES, Cursor, read_cursor, read_time, tag_of
from services.processor.stream.errors import CursorInvalid

CURSORS = st.builds(
    Cursor,
    st.binary(min_size=EPOCH_BYTES, max_size=EPOCH_BYTES),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=TAG_BYTES, max_size=TAG_BYTES),
)


@given(CURSORS)
def test_a_written_cursor_is_read_back(cursor: Cursor) -> None:
    assert cursor == read_cursor(cursor.write())
    assert 32 == len(cursor.write())


@given(st.text(max_size=40))
def test_any_other_string_is_refused(value: str) -> None:
    with pytest.raises(CursorInvalid):
        read_cursor(value)


def test_cursors_that_consumers_have_stored_stay_readable() -> None:
    cursor = Cursor(b"epoch1", 123456789, tag_of("01a21c11-d221-72b3-aced-a7d88179a589"))

    assert cursor == read_cursor("AWVwb2NoMQAAAAAHW80Vp9iBeaWJTys4")
    assert "AWVwb2NoMQAAAAAHW80Vp9iBeaWJTys4" == cursor.write()


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-28T21:00:00Z", datetime(2026, 11, 28, 21, tzinfo=UTC)),
        ("2026-11-28T22:00:00.250000+01:00", datetime(2026, 11, 28, 21, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-28T21:00:00.5Z", datetime(2026, 11, 28, 21, 0, 0, 500_000, tzinfo=UTC)),
        ("earliest", None),
        ("", None),
    ],
)
def test_a_time_with_its_offset_stands_for_a_cursor(value: str, moment: datetime | None) -> None:
    assert moment == read_time(value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-28",
        "2026-11-28T21:00:00",
        "2026-02-30T21:00:00Z",
        "2026-11-28T21:00:00Z ",
        "2026-11-28T21:00:00+99:99",
        "2026-11-28T21:00:00 02:00",  # a plus of a query that was not encoded
        "\uff12026-11-28T21:00:00Z",
    ],
)
def test_what_looks_like_a_time_and_is_none_is_refused_as_a_time(value: str) -> None:
    with pytest.raises(CursorInvalid) as refused:
        read_time(value)
    assert "offset" in refused.value.violations["cursor"]


@given(CURSORS)
def test_no_cursor_reads_as_a_time(cursor: Cursor) -> None:
    assert read_time(cursor.write()) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_written_time_is_read_back(moment: datetime) -> None:
    assert moment == read_time(moment.isoformat())
