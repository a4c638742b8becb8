"""Sealed cursors as strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meshkit import opaque
from services.processor.stream.cursor import Cursor, read_cursor
from services.processor.stream.cursor_seal import KEY_BYTES, CursorSeal, is_sealed, written
from services.processor.stream.errors import CursorInvalid
from tests.unit.processor.stream.test_cursor import CURSORS

SEAL = CursorSeal(bytes(range(KEY_BYTES)))
OTHER = CursorSeal(bytes(KEY_BYTES))
CURSOR = Cursor(b"epoch1", 1_795_793_464_833_457, b"event1")


@given(CURSORS)
def test_a_sealed_cursor_is_read_back_and_is_like_no_other(cursor: Cursor) -> None:
    first, second = SEAL.write(cursor), SEAL.write(cursor)

    assert (cursor, cursor) == (SEAL.read(first), SEAL.read(second))
    assert first != second
    assert (72, True, True) == (len(first), is_sealed(first), SEAL.has_sealed(first))


def test_sealed_cursors_that_consumers_have_stored_stay_readable() -> None:
    stored = "AjchTlMBAAECAwQFBgcICQoLInK5eK3Uwh3sAigEBFgdG-a48wXFZrEk0ihTgqx9ZP9N1He9"

    assert CURSOR == SEAL.read(stored)


def test_a_cursor_names_the_key_that_sealed_it() -> None:
    assert not OTHER.has_sealed(SEAL.write(CURSOR))


@given(st.integers(5, 53), st.integers(1, 255))
def test_an_altered_cursor_is_refused(place: int, change: int) -> None:
    raw = bytearray(opaque.decode(SEAL.write(CURSOR)))
    raw[place] ^= change

    with pytest.raises(CursorInvalid):
        SEAL.read(opaque.encode(bytes(raw)))


@given(st.text(max_size=80))
def test_any_other_string_is_no_sealed_cursor(value: str) -> None:
    assert not is_sealed(value)


def test_a_cursor_in_the_clear_is_no_sealed_one_and_a_sealed_one_none_in_the_clear() -> None:
    assert not is_sealed(CURSOR.write())
    with pytest.raises(CursorInvalid):
        read_cursor(SEAL.write(CURSOR))


def test_only_readers_of_some_tenants_get_a_sealed_cursor() -> None:
    assert CURSOR.write() == written(CURSOR, SEAL, None) == written(CURSOR, None, ())
    assert is_sealed(written(CURSOR, SEAL, ()))
    assert is_sealed(written(CURSOR, SEAL, ["a tenant"]))


def test_a_seal_prints_no_key() -> None:
    assert "CursorSeal(key_id=" + opaque.decode(SEAL.write(CURSOR))[1:5].hex() + ")" == repr(SEAL)
