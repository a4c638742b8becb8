"""Making accounts, with ids that depend on nothing but the seed and the address."""

from functools import partial

from simulator.accounts import Account, Provider
from simulator.google.channels import Channels
from simulator.google.watch import Watches
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.graph import GraphMailbox
from simulator.microsoft.calendar_notify import CalendarNotifier
from simulator.microsoft.notify import Notifier
from simulator.state import World


class Directory:
    """Adds accounts to the world and ties their mailboxes to the notifications."""

    def __init__(
        self, world: World, notifier: Notifier, watches: Watches, events: CalendarNotifier, channels: Channels
    ) -> None:
        self._world = world
        self._watches = watches
        self._notifier = notifier
        self._events = events
        self._channels = channels

    def add(
        self,
        provider: Provider,
        address: str,
        *,
        name: str = "",
        account_id: str = "",
        directory: str = "",
        principal: str = "",
    ) -> Account:
        """Add an account.

        Args:
            provider: ``ms365`` or ``googlews``.
            address: Mail address.
            name: Display name; from the address when empty.
            account_id: ``oid`` or ``sub``; from the seed when empty.
            directory: ``tid`` or hosted domain; from the address's domain when empty.
            principal: Microsoft's userPrincipalName; the address when empty.

        Raises:
            ValueError: The address is taken.
        """
        shown = name or address.partition("@")[0].replace(".", " ").title()
        domain = address.partition("@")[2]
        mailbox = self._mailbox(provider, address)
        if provider == "ms365":
            account_id = account_id or self._world.stable_uuid("oid", address)
            directory = directory or self._world.stable_uuid("tid", domain)
        else:
            account_id = account_id or str(
                10**20 + int(self._world.stable_uuid("sub", address).replace("-", ""), 16) % 10**20
            )
            directory = directory or domain
        account = Account(provider, account_id, directory, address, principal or address, shown, mailbox)
        self._world.accounts[provider].add(account)
        self._listen(account)
        return account

    def _mailbox(self, provider: Provider, address: str) -> GraphMailbox | GmailMailbox:
        world = self._world
        if provider == "ms365":
            return GraphMailbox(address, world.clock, world.seed)
        return GmailMailbox(address, world.clock, world.seed, world.knobs)

    def _listen(self, account: Account) -> None:
        if isinstance(account.mailbox, GraphMailbox):
            account.mailbox.listener = lambda change: self._notifier.changed(account, change)
            account.mailbox.calendars.listener = partial(self._events.changed, account)
        else:
            account.mailbox.listener = lambda record: self._watches.changed(account, record)
            account.mailbox.calendars.listener = partial(self._channels.changed, account)
