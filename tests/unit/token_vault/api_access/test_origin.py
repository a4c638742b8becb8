"""The proof that a page of this installation has sent a request."""

import pytest

from services.token_vault.api_access.origin import Origins

HOST = "mesh.example"


@pytest.mark.parametrize("origin", ["://", "null", "", "//", "https://", "https://mesh.example.evil"])
@pytest.mark.parametrize("public_url", ["", "/", "mesh.example", "https://", "https://mesh.example"])
def test_an_origin_without_a_host_or_of_another_is_never_our_own(public_url: str, origin: str) -> None:
    assert not Origins(public_url).has_sent({"origin": origin}, "https", HOST)


@pytest.mark.parametrize(
    ("public_url", "origin"),
    [
        ("", "https://mesh.example"),
        ("https://public.example", "https://mesh.example"),
        ("https://Public.example/", "https://public.example"),
        ("https://public.example:8443/below", "https://PUBLIC.example:8443"),
    ],
)
def test_the_host_of_the_request_and_the_public_address_are_our_own(public_url: str, origin: str) -> None:
    assert Origins(public_url).has_sent({"origin": origin}, "https", HOST)
    assert not Origins(public_url).has_sent({"origin": origin, "sec-fetch-site": "same-site"}, "https", HOST)


def test_an_origin_is_not_our_own_for_a_request_without_a_host() -> None:
    assert not Origins("").has_sent({"origin": "https://"}, "https", "")
