"""Mail between the simulated accounts: a mail that one account sends arrives at the others, at either provider."""

import email.policy
import email.utils
import re
from email.message import Message
from email.parser import BytesHeaderParser
from fnmatch import fnmatchcase

from simulator.accounts import Account
from simulator.bounces import report
from simulator.eml import Eml, MailSource
from simulator.state import World

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FIELDS = ("To", "Cc", "Bcc")
_BCC = re.compile(rb"^bcc:.*\r?\n(?:[ \t].*\r?\n)*", re.IGNORECASE | re.MULTILINE)


class PostOffice:
    """Delivers sent mail; addresses that no account has are the outside world, which takes all that is deliverable."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reports = 0

    def send(self, source: MailSource, sender: Account, *, has_copy: bool = False) -> None:
        """Deliver a mail to every account among its recipients, once each, without Bcc; report what does not arrive.

        Args:
            source: The mail.
            sender: The account that sends it, which gets the report.
            has_copy: The sender's own copy is in the mailbox already.
        """
        raw = source.raw()
        names = dict.fromkeys(address.lower() for address in recipients(raw))
        copy, failed = Eml(without_bcc(raw)), []
        for name in names:
            found = [account for accounts in self._world.accounts.values() if (account := accounts.find(name))]
            if fnmatchcase(name, self._world.knobs.undeliverable) or any(not one.has_mailbox for one in found):
                failed.append(name)
                continue
            for account in found:
                if account.address.lower() == name and not (has_copy and account is sender):
                    account.mailbox.deliver(copy)
        if failed:
            self._report(raw, sender, failed)

    def _form(self, sender: Account) -> str:
        form = self._world.knobs.bounce_form
        return form if form != "provider" else "exchange" if sender.provider == "ms365" else "gmail"

    def _report(self, raw: bytes, sender: Account, failed: list[str]) -> None:
        self._reports += 1
        message_id = f"<{self._world.stable_uuid('report', sender.address, str(self._reports))}@simulator.test>"
        date = email.utils.format_datetime(self._world.clock.now())
        made = report(self._form(sender), raw, failed, sender=sender.address, date=date, message_id=message_id)
        sender.mailbox.deliver(Eml(made))


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
