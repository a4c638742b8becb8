"""A mailbox of labels, with Gmail's ids and its history."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from simulator.clock import Clock
from simulator.eml import MailSource
from simulator.knobs import Knobs
from simulator.mailboxes.gmail_mail import SCHEDULED, SYSTEM_LABELS, GmailMail, HistoryKind, HistoryRecord
from simulator.mailboxes.google_calendars import GoogleCalendars
from simulator.mailboxes.mailbox import Mailbox, MailboxError


class GmailMailbox(Mailbox[GmailMail]):
    """All operations on mail in a Google mailbox, for the API and for the control API."""

    def __init__(
        self,
        address: str,
        clock: Clock,
        seed: int,
        knobs: Knobs,
        listener: Callable[[HistoryRecord], None] = lambda _record: None,
    ) -> None:
        super().__init__(address, clock, seed)
        self._knobs = knobs
        self.listener = listener
        self.history_id = self.random.randrange(1_000_000, 9_000_000)
        self.oldest_history_id = self.history_id
        self.history: deque[HistoryRecord] = deque()
        self.user_labels: dict[str, str] = {}
        self.label_settings: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.alias_settings: dict[str, dict[str, Any]] = {}
        self.default_alias = ""
        self.calendars = GoogleCalendars(address, clock)
        self._drafts: dict[str, int] = {}
        self._base = 0x1900_0000_0000_0000 | self.random.randrange(1 << 32) << 24

    # Addresses to send from

    def sends_from(self, address: str = "") -> str:
        """Return the address that a mail goes out from: the given one if it is accepted, by default the usual one.

        ``aliases`` has the state of each further address: ``accepted`` or ``pending``.
        """
        accepted = [self.address, *(one for one, status in self.aliases.items() if status == "accepted")]
        if not address:
            return self.default_alias if self.default_alias in accepted else self.address
        return next((one for one in accepted if one.lower() == address.lower()), "")

    # Labels and ids

    def add_label(self, name: str) -> str:
        """Make a user label and return its id."""
        taken = [int(key.removeprefix("Label_")) for key in (*self.user_labels, *self.label_settings)]
        label_id = f"Label_{max(taken, default=0) + 1}"
        self.user_labels[label_id] = name
        return label_id

    def has_label(self, label_id: str) -> bool:
        """Return whether a label has this id."""
        return label_id in self.user_labels or label_id in SYSTEM_LABELS

    def remove_label(self, label_id: str) -> None:
        """Delete a label and take it off all mails; its id is never used again."""
        for mail in list(self.mails.values()):
            self.relabel(mail, remove=(label_id,))
        del self.user_labels[label_id]
        self.label_settings.setdefault(label_id, {})

    def label(self, name: str) -> str:
        """Return the id of a label given by id or name.

        Raises:
            MailboxError: There is none.
        """
        if name.upper() in SYSTEM_LABELS or name == SCHEDULED:
            return name.upper()
        found = (
            name
            if name in self.user_labels
            else next((key for key, value in self.user_labels.items() if value.lower() == name.lower()), "")
        )
        if not found:
            raise MailboxError("invalid", f"no label {name}")
        return found

    def id_of(self, serial: int) -> str:
        """Return the id that Gmail shows for a mail or a thread."""
        return f"{self._base + serial:016x}"

    def find(self, mail_id: str) -> GmailMail:
        """Return a mail by its id.

        Raises:
            MailboxError: There is no such mail any more, or never was.
        """
        try:
            mail = self.mails.get(int(mail_id, 16) - self._base)
        except ValueError:
            mail = None
        if mail is None:
            raise MailboxError("not_found", f"no message {mail_id}")
        return mail

    # Mail

    def deliver(
        self,
        source: MailSource,
        *,
        received_ms: int | None = None,
        labels: Iterable[str] = ("INBOX",),
        is_read: bool = False,
        is_silent: bool = False,
        thread: int | None = None,
    ) -> GmailMail:
        """Put a mail into the mailbox; a silent one is old mail that has no history.

        ``thread`` is the only conversation that the mail may join, if its references and subject fit.
        """
        mail = self._new(source, received_ms, labels, is_read=is_read, thread=thread)
        self.store(mail)
        if not is_silent:
            self._record("messageAdded", mail)
        return mail

    def load(
        self, sources: Iterable[tuple[MailSource, int]], *, labels: Iterable[str] = ("INBOX",), is_read: bool = True
    ) -> int:
        """Put any number of old mails into the mailbox at once, without history. Returns how many."""
        labels = tuple(labels)
        mails = [self._new(source, received_ms, labels, is_read=is_read) for source, received_ms in sources]
        self.mails.update((mail.serial, mail) for mail in mails)
        self.timeline.add_many(mails)
        return len(mails)

    def draft(
        self, source: MailSource, fields: dict[str, Any] | None, *, draft_id: str = "", thread: int | None = None
    ) -> GmailMail:
        """Keep a new draft, under a new id unless it replaces one."""
        mail = self._new(source, None, ("DRAFT",), is_read=True, thread=thread)
        mail.is_draft, mail.fields = True, fields
        mail.draft_id = draft_id or f"r{10**18 + mail.serial}"
        self.store(mail)
        self._drafts[mail.draft_id] = mail.serial
        self._record("messageAdded", mail)
        return mail

    def find_draft(self, draft_id: str) -> GmailMail | None:
        """Return the message of a draft, None when it was sent or deleted."""
        return self.mails.get(self._drafts.get(draft_id, 0))

    def redraft(self, mail: GmailMail, source: MailSource, fields: dict[str, Any]) -> GmailMail:
        """Change a draft's content: Gmail replaces the message by another with a new id."""
        self.delete(mail)
        return self.draft(source, fields, draft_id=mail.draft_id)

    def send(self, mail: GmailMail) -> GmailMail:
        """Send a draft: Gmail replaces it by a sent message with a new id."""
        self.delete(mail)
        return self.deliver(mail.source, labels=("SENT",), is_read=True)

    def send_in_place(self, mail: GmailMail, source: MailSource) -> None:
        """Send a draft under the id of its message."""
        self._drafts.pop(mail.draft_id, None)
        mail.source, mail.is_draft, mail.draft_id = source, False, ""
        self.relabel(mail, ("SENT",), ("DRAFT",))

    def drop(self, mail: GmailMail) -> None:
        """Delete a mail for good."""
        super().drop(mail)
        self._drafts.pop(mail.draft_id, None)

    def resume(self, serial: int, mails: Iterable[GmailMail]) -> None:
        """Put back mails of an earlier run; new ones are numbered well behind them."""
        super().resume(serial, mails)
        self._drafts = {mail.draft_id: mail.serial for mail in self.mails.values() if mail.draft_id}

    def relabel(self, mail: GmailMail, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Change a mail's labels; a change without effect leaves no history.

        Raises:
            MailboxError: An unknown label.
        """
        added = tuple(label for label in map(self.label, add) if label not in mail.labels)
        removed = tuple(label for label in map(self.label, remove) if label in mail.labels)
        if added:
            mail.labels.update(added)
            self._record("labelAdded", mail, added)
        if removed:
            mail.labels.difference_update(removed)
            self._record("labelRemoved", mail, removed)
        mail.is_read = "UNREAD" not in mail.labels

    def update(self, mail: GmailMail, changes: dict[str, Any]) -> None:
        """Change flags: ``isRead``, ``isFlagged``, ``importance``, ``addLabels``, ``removeLabels``.

        Raises:
            MailboxError: An unknown property or label.
        """
        if unknown := changes.keys() - {"isRead", "isFlagged", "importance", "addLabels", "removeLabels"}:
            raise MailboxError("invalid", f"cannot update {sorted(unknown)}")
        add, remove = set(changes.get("addLabels", ())), set(changes.get("removeLabels", ()))
        for name, label, value in (
            ("isRead", "UNREAD", False),
            ("isFlagged", "STARRED", True),
            ("importance", "IMPORTANT", "high"),
        ):
            if name in changes:
                (add if changes[name] == value else remove).add(label)
        self.relabel(mail, sorted(add), sorted(remove))

    def trash(self, mail: GmailMail) -> None:
        """Put a mail into the trash."""
        mail.home = frozenset(mail.labels)
        self.relabel(mail, ("TRASH",), ("INBOX", "SPAM"))

    def restore(self, mail: GmailMail) -> None:
        """Take a mail out of the trash, back to where it was."""
        self.relabel(mail, sorted(mail.home & {"INBOX"}) if mail.home else ("INBOX",), ("TRASH",))

    def delete(self, mail: GmailMail) -> None:
        """Delete a mail for good."""
        self.deleted.append(self.truth(mail))
        self.drop(mail)
        self._record("messageDeleted", mail)

    def truth(self, mail: GmailMail) -> dict[str, Any]:
        """Return the facts that a test can compare."""
        return {
            "id": self.id_of(mail.serial),
            "internetMessageId": mail.source.message_id,
            "subject": mail.source.subject,
            "threadId": self.id_of(mail.thread),
            "labelIds": sorted(mail.labels),
            "isRead": "UNREAD" not in mail.labels,
            "isDraft": "DRAFT" in mail.labels,
            "isFlagged": "STARRED" in mail.labels,
            "version": mail.version,
            "historyId": str(mail.history_id),
            "receivedAtMs": mail.received_ms,
        }

    # History

    def since(self, history_id: int) -> Iterator[HistoryRecord]:
        """Yield the records after a history id.

        Raises:
            MailboxError: The id is older than the history that is kept.
        """
        self._forget_old()
        if history_id < self.oldest_history_id:
            raise MailboxError("not_found", "the history id is too old")
        found: list[HistoryRecord] = []
        for record in reversed(self.history):
            if record.id <= history_id:
                break
            found.append(record)
        yield from reversed(found)

    def expire_history(self, back: int = 0) -> None:
        """Make every history id that was ever given out too old, or begin a history ``back`` ids before them."""
        self.history.clear()
        self.history_id += -back if back else self.random.randrange(1, 50)
        self.oldest_history_id = self.history_id

    def _forget_old(self) -> None:
        horizon = self.clock.milliseconds() - self._knobs.history_seconds * 1000
        while self.history and (self.history[0].at_ms < horizon or len(self.history) > self._knobs.history_records_max):
            self.oldest_history_id = self.history.popleft().id

    def _new(
        self,
        source: MailSource,
        received_ms: int | None,
        labels: Iterable[str],
        *,
        is_read: bool,
        thread: int | None = None,
    ) -> GmailMail:
        now = self.clock.milliseconds()
        serial = self.next_serial()
        own = {self.label(label) for label in labels}
        if not is_read and "DRAFT" not in own:
            own.add("UNREAD")
        return GmailMail(
            serial=serial,
            source=source,
            received_ms=now if received_ms is None else received_ms,
            thread=self.threads.join(
                source, serial, lambda root: thread in (None, root) and self._same_subject(root, source)
            ),
            is_read=is_read,
            modified_ms=now,
            labels=own,
            history_id=self.history_id,
        )

    def _same_subject(self, root: int, source: MailSource) -> bool:
        first = self.mails.get(root)
        return first is None or bare_subject(first.source.subject) == bare_subject(source.subject)

    def _record(self, kind: HistoryKind, mail: GmailMail, changed: tuple[str, ...] = ()) -> None:
        self.history_id += self.random.randrange(1, 50)
        mail.history_id = self.history_id
        mail.version += 1
        mail.modified_ms = self.clock.milliseconds()
        record = HistoryRecord(
            self.history_id, mail.modified_ms, kind, mail.serial, mail.thread, tuple(sorted(mail.labels)), changed
        )
        self.history.append(record)
        self.listener(record)


def bare_subject(subject: str) -> str:
    """Return a subject without its reply marks, for comparison."""
    bare = subject.strip().lower()
    while bare.startswith(("re:", "fwd:", "fw:", "aw:")):
        bare = bare.partition(":")[2].strip()
    return bare
