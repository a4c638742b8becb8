"""An address is called only if it is public, or in a network that the operator has named."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.egress.addresses import EgressRules, is_public

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
REFUSED = {
    "this network": ["0.0.0.0", "0.1.2.3"],  # noqa: S104 - refused
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1"],
    "loopback": ["127.0.0.1", "127.1.2.3", "::1"],
    "unspecified": ["::"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%lo"],
    "site-local": ["fec0::1"],
    "carriers": ["100.64.0.1", "100.127.255.255"],
    "metadata": ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    "metadata over IPv6": ["fd00:ec2::254", "fd20:ce::254"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "broadcast and reserved": ["255.255.255.255", "240.0.0.1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "2001:2::1"],
    "relays and segments": ["192.88.99.1", "5f00::1", "100::1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8"],
    "compatible": ["::127.0.0.1", "::7f00:1", "::8.8.8.8"],
    "translated": ["::ffff:0:127.0.0.1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::1"],
    "ISATAP": ["2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1"],
    "numeric spellings": [
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "127.0.0.01",
        "\uff11\uff12\uff17.0.0.1",
    ],
    "no address": ["", "localhost", "example.com", " 8.8.8.8", "8.8.8.8\n", "[::1]", "8.8.8.8/32", "8.8.8.8:443"],
}


@pytest.mark.parametrize("address", [*PUBLIC, "64:ff9b::8.8.8.8", "2606:4700::5efe:8.8.8.8"])
def test_a_public_address_is_called(address: str) -> None:
    assert EgressRules().allows(address)
    assert not EgressRules().allows(address, is_encrypted=False)


@pytest.mark.parametrize(("kind", "address"), [(kind, address) for kind, all_ in REFUSED.items() for address in all_])
def test_another_address_is_not_called(kind: str, address: str) -> None:
    assert not EgressRules().allows(address), kind


def test_an_address_of_the_operators_own_is_called_with_and_without_tls() -> None:
    rules = EgressRules.read(own=["10.1.0.0/16", "192.168.7.7", "fd12::/64"])

    for address in ("10.1.2.3", "192.168.7.7", "fd12::7"):
        assert rules.allows(address)
        assert rules.allows(address, is_encrypted=False)
    for address in ("10.2.0.1", "192.168.7.8", "fd12:1::7", "127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"):
        assert not rules.allows(address)
    assert rules.allows("8.8.8.8")


def test_a_refused_network_takes_precedence() -> None:
    rules = EgressRules.read(own=["10.0.0.0/8"], refused=["10.9.0.0/16", "8.8.8.0/24"])

    assert rules.allows("10.1.0.1")
    assert rules.allows("8.8.9.8")
    assert not rules.allows("10.9.0.1")
    assert not rules.allows("8.8.8.8")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("own", ["10.0.0.1/8"]), ("own", ["inside"]), ("refused", ["300.0.0.0/8"]), ("ports", [0]), ("ports", [65536])],
)
def test_a_setting_that_is_no_network_and_no_port_is_refused(setting: str, value: list) -> None:
    with pytest.raises(ValueError, match=r"."):
        EgressRules.read(**{setting: value})


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_public_that_python_calls_private_in_any_form(address: ipaddress.IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert not is_public(str(address))
        for form in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}", f"2606:4700::5efe:{address}"):
            assert not is_public(str(ipaddress.ip_address(form)))


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_public_that_python_calls_private(address: ipaddress.IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert not is_public(str(address))
