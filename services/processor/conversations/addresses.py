"""Addresses in the form in which they are compared, and the tenant's own ones."""

from collections.abc import Iterable

from mailmesh.conversation.v1 import conversation_pb2 as pb2

MAX_CHARACTERS = 320


def plain(address: str) -> str:
    """Return an address in lower case, with its domain in ASCII; empty for text that is no address.

    Plus tags of others stay, since they may be others' own; so do the dots of Gmail.
    """
    local, at, domain = address.strip().lower().rpartition("@")
    if not at or not local or not domain or len(address) > MAX_CHARACTERS:
        return ""
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            return ""
    return f"{local}@{domain.rstrip('.')}"


def base(address: str) -> str:
    """Return a plain address without its plus tag."""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def tag(address: str) -> str:
    """Return the plus tag of a plain address; empty without one."""
    return address.rpartition("@")[0].partition("+")[2]


class Ours:
    """The addresses of a mailbox, its agents and its carriers.

    Args:
        settings: The tenant's settings.
    """

    def __init__(self, settings: pb2.ConversationSettings) -> None:
        self._own = frozenset(base(plain(one)) for one in settings.own_addresses)
        self._domains = frozenset(plain(f"x@{one}").partition("@")[2] for one in settings.own_domains)
        self._carriers = frozenset(plain(one) for one in settings.carriers)

    def is_own(self, address: str) -> bool:
        """Tell whether an address is the mailbox's; its plus tags do not count."""
        return base(address) in self._own

    def is_agent(self, address: str) -> bool:
        """Tell whether an address is the mailbox's or an agent's."""
        return self.is_own(address) or address.rpartition("@")[2] in self._domains

    def is_carrier(self, address: str) -> bool:
        """Tell whether an address writes for others."""
        return address in self._carriers

    def outsiders(self, addresses: Iterable[str]) -> list[str]:
        """Return the addresses of others, each once."""
        return [one for one in dict.fromkeys(addresses) if one and not self.is_agent(one)]
