"""Cookies that arrive beside ours."""

import pytest

from services.token_vault.servicers.cookies import read_cookies


@pytest.mark.parametrize(
    "other", ["of[another]=1", "a b=c", "=", "flag", 'quoted="x', "x=\\", "large=" + "x" * 9000, "é=1", "a=b,c=d", " "]
)
def test_a_cookie_of_any_form_hides_no_other(other: str) -> None:
    assert "secret" == read_cookies([f"{other}; ours=secret"])["ours"]
    assert "secret" == read_cookies([f"ours=secret; {other}"])["ours"]
    assert "secret" == read_cookies([f"ours=secret;{other};x=y"])["ours"]


def test_the_cookies_of_several_headers_are_read_and_the_first_of_a_name_counts() -> None:
    assert {"a": "1", "b": "x=y", "c": ""} == read_cookies(["a=1; b=x=y", "a=2", "c="])
