"""The text form of cursors and page tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meshkit.opaque import MAX_CHARACTERS, NotOpaqueError, decode, encode


@given(st.binary(max_size=100))
def test_encoded_bytes_are_decoded_and_need_no_escaping_in_an_address(raw: bytes) -> None:
    text = encode(raw)

    assert raw == decode(text)
    assert text.replace("-", "").replace("_", "").isalnum() or not raw


@pytest.mark.parametrize("text", ["a", "ab c", "ab=c", "é", "a" * (MAX_CHARACTERS + 1), "YWJj\n"])
def test_any_other_string_is_refused(text: str) -> None:
    with pytest.raises(NotOpaqueError):
        decode(text)


def test_a_string_beyond_the_callers_bound_is_refused() -> None:
    with pytest.raises(NotOpaqueError):
        decode(encode(b"12345678"), max_characters=10)
