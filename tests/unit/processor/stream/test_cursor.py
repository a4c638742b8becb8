"""Cursors as strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.processor.stream.cursor import EPOCH_BYTES, TAG_BYTES, Cursor, read_cursor, tag_of
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
