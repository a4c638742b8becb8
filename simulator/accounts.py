"""Accounts of both providers, and the applications that are registered there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.graph import GraphMailbox

Provider = Literal["ms365", "googlews"]


@dataclass(slots=True)
class Account:
    """One person at one provider.

    Attributes:
        id: Microsoft's object id (``oid``) or Google's ``sub``.
        directory: Microsoft's tenant id (``tid``) or Google's hosted domain.
        address: Current mail address; may change.
        principal: Microsoft's userPrincipalName; Google's is the address.
        consent: ``admin_required`` and ``blocked`` refuse at the consent page.
        delegates: Addresses of those who may open this mailbox too, which makes it a shared one.
        has_mailbox: False answers like an account without a licence.
        is_admin: Whether the account may read the users of its organisation at Google.
        is_suspended: Whether Google's directory shows the account as suspended.
        groups: Object ids of the groups that Microsoft's id token names, for apps that ask for them.
    """

    provider: Provider
    id: str
    directory: str
    address: str
    principal: str
    name: str
    mailbox: GraphMailbox | GmailMailbox
    consent: Literal["allowed", "admin_required", "blocked"] = "allowed"
    has_mailbox: bool = True
    delegates: set[str] = field(default_factory=set)
    groups: tuple[str, ...] = ()
    is_admin: bool = False
    is_suspended: bool = False
    granted: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Client:
    """An application registered at a provider; no redirect URIs means any is accepted, a public one has no secret.

    The app roles are the permissions that its registration asks organisations for.
    """

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...] = ()
    is_public: bool = False
    app_roles: frozenset[str] = frozenset(
        {"Mail.Read", "Mail.ReadWrite", "Mail.Send", "Calendars.ReadWrite", "User.Read.All"}
    )


class Accounts:
    """The accounts of one provider, found by id or address in any case."""

    def __init__(self) -> None:
        self._by_id: dict[str, Account] = {}
        self._by_name: dict[str, Account] = {}

    def add(self, account: Account) -> None:
        """Add an account.

        Raises:
            ValueError: Its address is taken.
        """
        if account.address.lower() in self._by_name:
            msg = f"there is an account {account.address} already"
            raise ValueError(msg)
        self._by_id[account.id] = account
        self._name(account)

    def find(self, name: str) -> Account | None:
        """Return the account with that id, address or principal name."""
        return self._by_id.get(name) or self._by_name.get(name.lower())

    def rename(self, account: Account, address: str) -> None:
        """Give an account another address; its old one becomes free."""
        self._by_name = {name: other for name, other in self._by_name.items() if other is not account}
        account.address = address
        account.mailbox.address = address
        self._name(account)

    def remove(self, account: Account) -> None:
        """Remove an account."""
        del self._by_id[account.id]
        self._by_name = {name: other for name, other in self._by_name.items() if other is not account}

    def _name(self, account: Account) -> None:
        self._by_name[account.address.lower()] = account
        self._by_name.setdefault(account.principal.lower(), account)

    def __iter__(self) -> Iterator[Account]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)
