"""Delivery and changes of mail for the control API, in terms that fit both providers."""

import base64
import random
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from simulator.accounts import Account
from simulator.eml import Eml, MailSource, compose
from simulator.generate import GeneratedMail
from simulator.http import JSON
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import GmailMail
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.state import World

_DAY_MS = 86_400_000


class Postman:
    """Acts on mailboxes as people and other servers do."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._composed = 0

    def source(self, account: Account, body: JSON) -> MailSource:
        """Return the mail in ``eml`` (text), ``emlBase64``, or fields as :func:`simulator.eml.compose` takes them."""
        if "emlBase64" in body:
            return Eml(base64.b64decode(body["emlBase64"]))
        if "eml" in body:
            return Eml(str(body["eml"]).encode())
        self._composed += 1
        message_id = f"<{self._world.stable_uuid('mail', account.address, str(self._composed))}@simulator.test>"
        fields = {"to": account.address, **body}
        return Eml(
            compose(fields, default_date=format_datetime(self._world.clock.now()), default_message_id=message_id)
        )

    def deliver(self, account: Account, source: MailSource, body: JSON) -> JSON:
        """Deliver one mail.

        Args:
            account: To whom.
            source: The mail.
            body: ``folder`` or ``labels``, ``isRead``, ``categories``, ``receivedAtMs``, ``silent``.

        Returns:
            The mail's truth.
        """
        received_ms = body.get("receivedAtMs")
        how: dict[str, Any] = {
            "received_ms": received_ms,
            "is_read": bool(body.get("isRead")),
            "is_silent": bool(body.get("silent")),
        }
        mailbox = account.mailbox
        if isinstance(mailbox, GraphMailbox):
            folder = str(body.get("folder", "inbox"))
            return mailbox.truth(mailbox.deliver(source, folder=folder, categories=body.get("categories", ()), **how))
        return mailbox.truth(mailbox.deliver(source, labels=body.get("labels", ("INBOX",)), **how))

    def generate(self, account: Account, body: JSON) -> list[JSON]:
        """Deliver ``count`` new mails made from ``seed``, numbered from ``first``."""
        seed, first, count = (
            int(body.get("seed", self._world.seed)),
            int(body.get("first", 0)),
            int(body.get("count", 1)),
        )
        now = self._world.clock.milliseconds()
        return [
            self.deliver(account, GeneratedMail(seed, number, account.address, now), body)
            for number in range(first, first + count)
        ]

    def load(self, account: Account, body: JSON) -> int:
        """Put ``count`` old mails made from ``seed`` into a mailbox, over ``days`` before now, silently."""
        count, days = int(body.get("count", 1)), float(body.get("days", 365))
        seed = int(body.get("seed", self._world.seed))
        mailbox = account.mailbox
        sources = self._old(account.address, seed, count, days)
        is_read = bool(body.get("isRead", True))
        if isinstance(mailbox, GraphMailbox):
            return mailbox.load(sources, folder=str(body.get("folder", "inbox")), is_read=is_read)
        return mailbox.load(sources, labels=body.get("labels", ("INBOX",)), is_read=is_read)

    def _old(self, address: str, seed: int, count: int, days: float) -> Iterator[tuple[MailSource, int]]:
        end = self._world.clock.milliseconds() - 3_600_000
        step = days * _DAY_MS / max(count, 1)
        for number in range(count):
            received_ms = int(end - (count - number) * step)
            yield GeneratedMail(seed, number, address, received_ms), received_ms

    def feed(self, account: Account, folder: Path) -> int:
        """Deliver every ``.eml`` file below a folder as old mail, in the order of their names; return how many."""
        files = sorted(folder.rglob("*.eml"))
        for file in files:
            self.deliver(account, Eml(file.read_bytes()), {"silent": True})
        return len(files)

    def find(self, account: Account, mail_id: str) -> GraphMail | GmailMail:
        """Return a mail by an id that its provider shows.

        Raises:
            MailboxError: There is none.
        """
        return account.mailbox.find(mail_id)

    def act(self, account: Account, mail_id: str, verb: str, body: JSON) -> JSON:
        """Do something to a mail: ``update``, ``move``, ``trash``, ``restore``, ``delete``, ``redraft``, ``send``.

        Returns:
            The mail's truth afterwards, or its last when it is gone.

        Raises:
            MailboxError: No such mail or folder, or an unknown property.
        """
        mailbox = account.mailbox
        if isinstance(mailbox, GraphMailbox):
            return self._act_graph(account, mailbox, mailbox.find(mail_id), verb, body)
        return self._act_gmail(account, mailbox, mailbox.find(mail_id), verb, body)

    def _act_graph(self, account: Account, mailbox: GraphMailbox, mail: GraphMail, verb: str, body: JSON) -> JSON:
        verbs: dict[str, Callable[[], None]] = {
            "update": lambda: mailbox.update(mail, body),
            "move": lambda: mailbox.move(mail, str(body.get("folder", ""))),
            "trash": lambda: mailbox.trash(mail),
            "restore": lambda: mailbox.restore(mail),
            "delete": lambda: mailbox.delete(mail),
            "redraft": lambda: mailbox.redraft(mail, *self._rewritten(account, mail, body)),
            "send": lambda: mailbox.send(mail),
        }
        verbs[verb]()
        return mailbox.truth(mail)

    def _act_gmail(self, account: Account, mailbox: GmailMailbox, mail: GmailMail, verb: str, body: JSON) -> JSON:
        verbs: dict[str, Callable[[], GmailMail | None]] = {
            "update": lambda: mailbox.update(mail, body),
            "move": lambda: mailbox.relabel(mail, (str(body.get("folder", "")),), ("INBOX",)),
            "trash": lambda: mailbox.trash(mail),
            "restore": lambda: mailbox.restore(mail),
            "delete": lambda: mailbox.delete(mail),
            "redraft": lambda: mailbox.redraft(mail, *self._rewritten(account, mail, body)),
            "send": lambda: mailbox.send(mail),
        }
        return mailbox.truth(verbs[verb]() or mail)

    def draft(self, account: Account, body: JSON) -> JSON:
        """Keep a new draft written from fields."""
        fields = {"from": account.address, "to": "", **body}
        source = self.source(account, fields)
        mailbox = account.mailbox
        if isinstance(mailbox, GraphMailbox):
            return mailbox.truth(mailbox.draft(source, fields))
        return mailbox.truth(mailbox.draft(source, fields))

    def _rewritten(self, account: Account, mail: GraphMail | GmailMail, body: JSON) -> tuple[MailSource, JSON]:
        fields = {**(mail.fields or {}), "messageId": mail.source.message_id, **body}
        return self.source(account, fields), fields

    def churn(self, account: Account, body: JSON) -> JSON:
        """Do ``count`` random things from ``seed``: deliver, flag, move, trash, restore, delete, draft, send.

        Returns:
            How often each thing was done.
        """
        chance = random.Random(f"churn:{body.get('seed', self._world.seed)}:{account.address}")
        done: dict[str, int] = {}
        for number in range(int(body.get("count", 1))):
            verb = self._churn_once(account, chance, f"{body.get('seed', self._world.seed)}-{number}")
            done[verb] = done.get(verb, 0) + 1
        return done

    def _churn_once(self, account: Account, chance: random.Random, name: str) -> str:
        newest = list(account.mailbox.mails.values())[-200:]
        mails = [mail for mail in newest if not mail.is_draft]
        verb = chance.choices(tuple(_CHURN), tuple(_CHURN.values()))[0] if mails else "deliver"
        if verb == "deliver":
            self.deliver(account, self.source(account, {"subject": f"Churn {name}", "text": name}), {})
        elif verb == "draft":
            draft = self.draft(account, {"subject": f"Draft {name}", "text": name})
            self.act(account, draft["id"], chance.choice(("send", "delete")), {})
        else:
            self._flip(account, chance.randrange(len(mails)), verb, chance)
        return verb

    def _flip(self, account: Account, at: int, verb: str, chance: random.Random) -> None:
        """Apply a verb to a mail; a mail in the trash is restored instead of trashed."""
        mailbox = account.mailbox
        if isinstance(mailbox, GraphMailbox):
            mail = [mail for mail in list(mailbox.mails.values())[-200:] if not mail.is_draft][at]
            home = mailbox.folders[mail.folder].well_known
            is_trashed = home == "deleteditems"
            body: JSON = {"folder": chance.choice([name for name in ("inbox", "archive", "junkemail") if name != home])}
            flags: list[JSON] = [{"isRead": not mail.is_read}, {"categories": [f"Color {chance.randrange(5)}"]}]
            mail_id = mailbox.truth(mail)["id"]
        else:
            one = [mail for mail in list(mailbox.mails.values())[-200:] if not mail.is_draft][at]
            is_trashed = "TRASH" in one.labels
            body = {"folder": chance.choice(("STARRED", "IMPORTANT"))}
            flags = [{"isRead": "UNREAD" in one.labels}, {"isFlagged": "STARRED" not in one.labels}]
            mail_id = mailbox.id_of(one.serial)
        if verb == "trash" and is_trashed:
            verb = "restore"
        self.act(account, mail_id, verb, {"move": body, "update": chance.choice(flags)}.get(verb, {}))


_CHURN = {"deliver": 40, "update": 25, "move": 10, "trash": 10, "delete": 8, "draft": 7}
