"""The tenant's own addresses, among plain addresses as `services.meshkit.addresses` compares them."""

from collections.abc import Iterable

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.meshkit.addresses import plain


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
