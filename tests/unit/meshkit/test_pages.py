"""Pages: how many rows, and tokens that belong to one request only."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailmesh.vault.v1.api_key_service_pb2 import ListApiKeysRequest
from services.meshkit.errors import FieldInvalid, PageTokenInvalid
from services.meshkit.pages import PageTokens, is_row_id, is_time, page_size
from tests.programs.echo import echo_modules

pb, _ = echo_modules()
POSITION = ["2026-01-01T00:00:00Z", 7]
ROW = "019a9f0e-7c1e-7000-8000-000000000000"


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)])
def test_a_page_has_a_default_and_a_bound(asked, given_):
    assert given_ == page_size(asked)


def test_a_negative_page_size_is_refused():
    with pytest.raises(FieldInvalid):
        page_size(-1)


def test_the_next_page_begins_where_the_last_one_ended():
    tokens = PageTokens(b"key")
    token = tokens.write(pb.ListRequest(filter="a", page_size=10), POSITION)

    assert POSITION == tokens.read(pb.ListRequest(filter="a", page_size=20, page_token=token))


def test_the_first_page_has_no_position_and_the_last_no_token():
    assert (None, "") == (PageTokens().read(pb.ListRequest()), PageTokens().write(pb.ListRequest(), None))


def test_a_token_of_another_request_is_refused():
    token = PageTokens().write(pb.ListRequest(filter="a"), POSITION)

    with pytest.raises(PageTokenInvalid):
        PageTokens().read(pb.ListRequest(filter="b", page_token=token))


def test_a_token_of_another_installation_is_refused():
    token = PageTokens(b"one").write(pb.ListRequest(), POSITION)

    with pytest.raises(PageTokenInvalid):
        PageTokens(b"two").read(pb.ListRequest(page_token=token))


@pytest.mark.parametrize("index", range(20))
def test_an_altered_token_is_refused(index):
    raw = bytearray(base64.urlsafe_b64decode(PageTokens().write(pb.ListRequest(), POSITION) + "=="))
    raw[index] ^= 1

    with pytest.raises(PageTokenInvalid):
        PageTokens().read(pb.ListRequest(page_token=base64.urlsafe_b64encode(raw).decode()))


@given(st.text(max_size=200))
def test_no_text_makes_reading_a_token_fail_in_another_way(text):
    try:
        assert PageTokens().read(pb.ListRequest(page_token=text)) is None
    except (PageTokenInvalid, UnicodeEncodeError):
        return


def test_an_endless_token_is_refused():
    with pytest.raises(PageTokenInvalid):
        PageTokens().read(pb.ListRequest(page_token="A" * 100_000))


@pytest.mark.parametrize("position", [
    [], ["x"], [7, 7], ["2026-01-01T00:00:00Z"], ["2026-13-01", ROW], [True, ROW], ["0001-01-01T00:00:00+14:00", ROW],
    ["2026-01-01T00:00:00Z", ROW, ROW], ["2026-01-01T00:00:00Z", "7"],
])  # fmt: skip
def test_a_position_that_cannot_be_one_is_refused_though_its_digest_fits(position):
    tokens = PageTokens(columns=(is_time, is_row_id))
    token = tokens.write(pb.ListRequest(), position)

    with pytest.raises(PageTokenInvalid):
        tokens.read(pb.ListRequest(page_token=token))


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=ascii)
def test_a_position_with_text_that_no_store_can_hold_is_refused(text):
    tokens = PageTokens()
    token = tokens.write(pb.ListRequest(), [text])

    with pytest.raises(PageTokenInvalid):
        tokens.read(pb.ListRequest(page_token=token))


@given(st.binary(max_size=200) | st.integers(1, 1500).map(lambda depth: b"[" * depth))
def test_whatever_stands_behind_a_digest_that_fits_is_a_position_or_refused(payload):
    tokens, request = PageTokens(), pb.ListRequest()
    raw = tokens._digest(request, payload) + payload
    request.page_token = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    with contextlib.suppress(PageTokenInvalid):
        assert isinstance(tokens.read(request), list)


def test_a_token_that_was_given_out_stays_readable():
    token = "HI299YZF_s0ysUlLU45ibVsiMjAyNi0wMS0wMVQwMDowMDowMFoiLDdd"
    request = ListApiKeysRequest(include_revoked=True, page_token=token)

    assert POSITION == PageTokens(b"key").read(request)
    assert token == PageTokens(b"key").write(request, POSITION)
