"""A URL of an endpoint has one reading only, and an address in it is judged at once."""

import pytest

from services.egress.addresses import EgressRules
from services.egress.urls import url_fault

STRANGERS = EgressRules()
OWN = EgressRules.read(own=["10.1.0.0/16", "::1"], ports=[443, 5678])


@pytest.mark.parametrize(
    "url",
    [
        *("https://example.com", "https://example.com/", "https://EXAMPLE.com:8443/a/b?c=d&e=%2F", "HTTPS://a.b.c./x"),
        *("https://xn--bcher-kva.example/x", "https://my_host.example/", "https://8.8.8.8/", "https://[2606:4700::1]/"),
        "https://example.com/" + "x" * 2000,
    ],
)
def test_a_url_of_a_stranger_is_accepted(url: str) -> None:
    assert "" == url_fault(url, STRANGERS)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        *((url, "https://") for url in ("http://example.com/", "ftp://example.com/", "file:///etc/passwd", "x")),
        *((url, "visible ASCII") for url in ("", "https://exa mple.com/", "https://a.b/\n", "https://a.b\\@c.d/")),
        *((url, "visible ASCII") for url in ("https://bücher.example/", "https://a.b/" + "x" * 2048, "https://①.com/")),
        *((url, "user") for url in ("https://user@example.com/", "https://u:p@example.com/", "https://@example.com/")),
        *((url, "fragment") for url in ("https://example.com/#", "https://example.com/#x")),
        *((url, "host") for url in ("https://", "https:///x", "https://:443/", "https://?x")),
        *((url, "not a URL") for url in ("https://a.b:99999/", "https://a.b:x/", "https://[::1/")),
        *((url, "port") for url in ("https://example.com:0/",)),
        *((f"https://{host}/", "name of a host") for host in ("a..b", "-a.b", "a-.b", "a%2eb.c", "a" * 64 + ".b")),
        *((f"https://{host}/", "name of a host") for host in ("a." * 127 + "bc", ".", "*.example.com")),
        *((f"https://{host}/", "four decimal") for host in ("127.1", "2130706433", "0x7f.1", "0177.0.0.1")),
        *((f"https://{host}/", "four decimal") for host in ("127.0.0.1.", "1.2.3.4.5", "a.0x", "a.1x", "256.1.1.1")),
        *((f"https://{host}/", "not public") for host in ("127.0.0.1", "10.1.0.1", "169.254.169.254", "[::1]")),
        *((f"https://{host}/", "not public") for host in ("[::ffff:8.8.8.8]", "[fe80::1%25lo]", "[v1.x]")),
    ],
)
def test_another_url_is_refused(url: str, fault: str) -> None:
    assert fault in url_fault(url, STRANGERS)


@pytest.mark.parametrize(
    "url", ["http://10.1.2.3:5678/webhook/x", "http://n8n.internal:5678/", "https://[::1]/", "https://example.com/"]
)
def test_a_url_in_the_operators_own_network_may_be_plain(url: str) -> None:
    assert "" == url_fault(url, OWN)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://8.8.8.8:5678/", "not public"),
        ("http://10.2.0.1:5678/", "not public"),
        ("http://10.1.0.1/", "port"),
        ("https://example.com:8443/", "port"),
        ("ftp://10.1.0.1/", "http://"),
    ],
)
def test_the_operators_rules_hold_in_their_own_network(url: str, fault: str) -> None:
    assert fault in url_fault(url, OWN)
