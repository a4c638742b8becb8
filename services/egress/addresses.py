"""The decision on an address that is dialled: public, of the operator's own networks, or refused.

Sources: IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) and the clouds' own pages for addresses that
only look public. `ipaddress.is_global` alone is not enough: Python 3.11 calls NAT64, 6to4, multicast, site-local and
others global. Text is judged only after `ipaddress` has read it: `127.1` and `2130706433` are 127.0.0.1 for
`getaddrinfo`, and no address here.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

_REFUSED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's platform, at an address that looks public
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
)
# Only 2000::/3 is assigned for global unicast. This leaves out loopback, mapped, compatible and translated IPv4, local
# NAT64, discard, segment routing, unique-local, link-local, site-local and multicast at once.
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 (deprecated, RFC 7526), with any IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
# The only form with an IPv4 address inside that honest name servers give: DNS64 in networks without IPv4 (RFC 6052).
_NAT64: Final = IPv6Network("64:ff9b::/96")
# Interface identifiers of ISATAP (RFC 5214) hold an IPv4 address in their lower half.
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
_LOWER_32 = (1 << 32) - 1


@lru_cache(maxsize=4096)
def is_public(text: str) -> bool:
    """Return whether a text is an address that every host of the internet reaches as the same one.

    Args:
        text: An address as `inet_ntop` writes it. Other spellings, names and zones are not public.
    """
    address = read_address(text)
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    return address is not None and _is_public_v6(address)


@lru_cache(maxsize=4096)
def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; None for a name, an address with a zone, and every other spelling."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if isinstance(address, IPv6Address) and address.scope_id else address


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not any(address in network for network in _REFUSED_V4)


def _is_public_v6(address: IPv6Address) -> bool:
    inner = IPv4Address(int(address) & _LOWER_32)
    if address in _NAT64:
        return _is_public_v4(inner)
    if (int(address) >> 32) & _LOWER_32 in _ISATAP and not _is_public_v4(inner):
        return False
    return address in _GLOBAL_V6 and address.is_global and not any(address in network for network in _REFUSED_V6)


@dataclass(frozen=True)
class EgressRules:
    """The operator's rules for receivers.

    Args:
        own: Networks of the operator in which receivers may be, although they are not public. Plain HTTP is allowed to
            them only. The mesh's own hosts must not be in them.
        refused: Networks in which no receiver may be, although they are public: the operator's own public addresses,
            for example. They take precedence over `own`.
        ports: The ports that may be called; empty allows each port.
    """

    own: tuple[Network, ...] = ()
    refused: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset()

    @classmethod
    def read(
        cls, own: tuple[str, ...] = (), refused: tuple[str, ...] = (), ports: tuple[int, ...] = ()
    ) -> "EgressRules":
        """Read the rules from settings.

        Args:
            own: Networks as `10.1.0.0/16`; an address alone is the network of that address.
            refused: The same.
            ports: Numbers from 1 to 65535.

        Raises:
            ValueError: A text is no network, has bits below its prefix, or a number is no port.
        """
        if any(not 0 < port < 2**16 for port in ports):
            raise ValueError("a port is a number from 1 to 65535")
        own_networks, refused_networks = (tuple(map(ip_network, texts)) for texts in (own, refused))
        return cls(own_networks, refused_networks, frozenset(ports))

    def allows_port(self, port: int) -> bool:
        """Return whether a port may be called."""
        return not self.ports or port in self.ports

    def allows(self, text: str, *, is_encrypted: bool = True) -> bool:
        """Return whether an address may be called.

        Args:
            text: The address, as `inet_ntop` writes it.
            is_encrypted: Whether TLS is spoken; without it only the operator's own networks may be called.
        """
        address = read_address(text)
        if address is None or any(address in network for network in self.refused):
            return False
        return any(address in network for network in self.own) or (is_encrypted and is_public(text))
