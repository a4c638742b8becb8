"""An endpoint's own headers never replace those of the protocol or of the signature."""

import pytest

from services.egress.headers import headers_fault
from services.meshkit.secret import Secret


def headers(**values: str) -> dict[str, Secret]:
    return {name.replace("_", "-"): Secret(value) for name, value in values.items()}


def test_headers_of_the_receivers_own_are_accepted() -> None:
    assert "" == headers_fault({})
    assert "" == headers_fault(headers(Authorization="Bearer abc==", X_Api_Key="a b\tc", Accept="*/*"))


@pytest.mark.parametrize(
    "name",
    [
        *("host", "Content-Length", "CONTENT-TYPE", "transfer-encoding", "Connection", "te", "upgrade", "expect"),
        *("user-agent", "accept-encoding", "cookie", "proxy-authorization", "Webhook-Id", "webhook-signature"),
        *("svix-id", "x-forwarded-for", "content-encoding", "trailer", "keep-alive"),
    ],
)
def test_a_header_of_ours_is_refused(name: str) -> None:
    assert name.lower() in headers_fault({name: Secret("x")})


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "a\0", "(a)", "x" * 101])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    assert "name" in headers_fault({name: Secret("x")})


@pytest.mark.parametrize("value", ["a\r\nhost: b", "a\n", "\0", "ä", " a", "a ", "x" * 4001, "a\x7fb"])
def test_a_value_that_could_end_the_header_is_refused_and_not_shown(value: str) -> None:
    fault = headers_fault({"X-Key": Secret(value)})

    assert "x-key" in fault
    assert "canary" not in fault


def test_too_many_headers_and_the_same_header_twice_are_refused() -> None:
    assert "at most" in headers_fault({f"x-{number}": Secret("x") for number in range(21)})
    assert "another name" in headers_fault({"X-Key": Secret("x"), "x-key": Secret("y")})
