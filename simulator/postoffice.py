"""Mail between the simulated accounts: a mail that one account sends arrives at the others, at either provider."""

import email.policy
import email.utils
import re
from email.message import Message
from email.parser import BytesHeaderParser

from simulator.accounts import Account
from simulator.eml import Eml, MailSource
from simulator.state import World

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FIELDS = ("To", "Cc", "Bcc")
_BCC = re.compile(rb"^bcc:.*\r?\n(?:[ \t].*\r?\n)*", re.IGNORECASE | re.MULTILINE)


class PostOffice:
    """Delivers sent mail; addresses that no account has are the outside world, which takes everything."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, source: MailSource, *, besides: Account | None = None) -> int:
        """Deliver a mail to every account among its recipients, once each, without Bcc; return to how many.

        Args:
            source: The mail.
            besides: An account that has its copy already.
        """
        raw = source.raw()
        names = {address.lower() for address in recipients(raw)}
        accounts = [
            account
            for accounts in self._world.accounts.values()
            for account in accounts
            if account.address.lower() in names and account.has_mailbox and account is not besides
        ]
        copy = Eml(without_bcc(raw)) if accounts else None
        for account in accounts:
            if copy is not None:
                account.mailbox.deliver(copy)
        return len(accounts)


def with_header(raw: bytes, name: str, value: str) -> bytes:
    """Return a mail with one header of that name, in front of all others."""
    blank = _BLANK_LINE.search(raw)
    end = blank.end() if blank else len(raw)
    old = re.compile(rb"^%s:.*\r?\n(?:[ \t].*\r?\n)*" % re.escape(name.encode()), re.IGNORECASE | re.MULTILINE)
    return f"{name}: {value}\r\n".encode() + old.sub(b"", raw[:end]) + raw[end:]


def parse_head(raw: bytes) -> Message:
    """Return the header fields of a mail."""
    return BytesHeaderParser(policy=email.policy.compat32).parsebytes(raw)


def sender_of(raw: bytes) -> str:
    """Return the address in From, in lower case."""
    return email.utils.parseaddr(str(parse_head(raw).get("From", "")))[1].lower()


def recipients(raw: bytes) -> list[str]:
    """Return the addresses in To, Cc and Bcc."""
    head = parse_head(raw)
    lines = [str(value) for name in _FIELDS for value in head.get_all(name, [])]
    return [address for _, address in email.utils.getaddresses(lines) if address]


def without_bcc(raw: bytes) -> bytes:
    """Return a mail as its recipients get it."""
    blank = _BLANK_LINE.search(raw)
    end = blank.end() if blank else len(raw)
    return _BCC.sub(b"", raw[:end]) + raw[end:]
