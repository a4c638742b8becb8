"""A mailbox in folders, with Graph's two kinds of ids and a log of changes per folder for delta queries."""

import base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from simulator.clock import Clock
from simulator.eml import MailSource
from simulator.mailboxes.calendars import Calendars
from simulator.mailboxes.folder_tree import FolderTree
from simulator.mailboxes.folders import LOG_MAX, Folder, Logged
from simulator.mailboxes.graph_mail import Change, GraphMail
from simulator.mailboxes.mailbox import Mailbox, MailboxError


class GraphMailbox(FolderTree, Mailbox[GraphMail]):
    """All operations on mail in a Microsoft mailbox, for the API and for the control API."""

    def __init__(
        self, address: str, clock: Clock, seed: int, listener: Callable[[Change], None] = lambda _change: None
    ) -> None:
        super().__init__(address, clock, seed)
        self.listener = listener
        self.calendars = Calendars(address, clock)
        self.delta_epoch = 0
        self.delta_failure = (410, "syncStateNotFound")
        self.make_well_known()

    # Folders

    def unread(self, folder: Folder) -> int:
        """Return how many mails of a folder are unread."""
        return sum(not self.mails[serial].is_read for _, serial in folder.timeline.newest_first())

    def delete_folder(self, folder: Folder) -> None:
        """Move a folder with all it holds to Deleted Items; from there delete it for good."""
        bin_ = self.folder("deleteditems")
        if folder.id not in self.below(bin_):
            self.change_folder(folder, name=self.free_name(folder.name, bin_.id), parent=bin_.id)
            return
        for one in self.below(folder):
            for _, serial in list(self.folders[one].timeline.newest_first()):
                self.delete(self.mails[serial])
            self.log_folder(self.folders.pop(one), is_deleted=True)

    # Ids

    def id_of(self, serial: int, moves: int, *, is_immutable: bool) -> str:
        """Return the id that Graph shows for a mail."""
        if is_immutable:
            return "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A" + self._pack(serial, 0) + "AAA="
        return "AAMkADBhZTI2ZjQ4LWExNzQtNDNjZS1hMGU1" + self._pack(serial, moves) + "BGAAAAAAD_qHyQAAA="

    def conversation_id(self, mail: GraphMail) -> str:
        """Return the id of the mail's conversation."""
        return "AAQkADBhZTI2ZjQ4LWExNzQtNDNjZS1hMGU1" + self._pack(mail.thread, 0) + "AQAMTAAA="

    def etag(self, mail: GraphMail, version: int | None = None) -> str:
        """Return the mail's etag at a version, by default the present one."""
        return f'W/"{self.change_key(mail, version)}"'

    def change_key(self, mail: GraphMail, version: int | None = None) -> str:
        """Return the mail's change key at a version, by default the present one."""
        return "CQAAABYAAA" + self._pack(mail.serial, version or mail.version)

    def find(self, mail_id: str) -> GraphMail:
        """Return a mail by either kind of id; a default id from before a move finds nothing.

        Raises:
            MailboxError: There is no such mail any more, or never was.
        """
        if mail := self._decode(mail_id):
            return mail
        raise MailboxError("not_found", f"no message {mail_id}")

    def _decode(self, mail_id: str) -> GraphMail | None:
        packed = mail_id[36:60]
        try:
            raw = base64.urlsafe_b64decode(packed)
        except ValueError:
            return None
        mail = self.mails.get(int.from_bytes(raw[9:15], "big"))
        if mail is None:
            return None
        known = (self.id_of(mail.serial, 0, is_immutable=True), self.id_of(mail.serial, mail.moves, is_immutable=False))
        return mail if mail_id in known else None

    def folder_id(self, number: int) -> str:
        """Return the id that Graph shows for a folder."""
        return "AQMkAD" + self._pack(number, 0) + "AuAAAAAAA=="

    def _pack(self, number: int, extra: int) -> str:
        return base64.urlsafe_b64encode(
            self.token + number.to_bytes(6, "big") + (extra & 0xFFFFFF).to_bytes(3, "big")
        ).decode()

    # Mail

    def deliver(
        self,
        source: MailSource,
        *,
        received_ms: int | None = None,
        folder: str = "inbox",
        is_read: bool = False,
        categories: Iterable[str] = (),
        is_silent: bool = False,
        like: GraphMail | None = None,
    ) -> GraphMail:
        """Put a mail into a folder; a silent one is old mail, which causes no notification.

        ``like`` is a mail whose flags and extended properties the new one has too.
        """
        mail = self._new(source, received_ms, self.folder(folder), is_read=is_read)
        mail.categories = list(categories)
        mail.importance = _importance(source)
        if like:
            self.mark(mail, {name: getattr(like, kept) for name, kept in _UPDATES.items()})
        self._shelve(mail, is_silent=is_silent)
        return mail

    def load(self, sources: Iterable[tuple[MailSource, int]], *, folder: str = "inbox", is_read: bool = True) -> int:
        """Put any number of old mails into a folder at once, without notifications. Returns how many."""
        shelf = self.folder(folder)
        mails = [self._new(source, received_ms, shelf, is_read=is_read) for source, received_ms in sources]
        self.mails.update((mail.serial, mail) for mail in mails)
        self.timeline.add_many(mails)
        shelf.timeline.add_many(mails)
        return len(mails)

    def draft(self, source: MailSource, fields: dict[str, Any] | None) -> GraphMail:
        """Keep a new draft; ``fields`` are None where it was given as bytes."""
        mail = self._new(source, None, self.folder("drafts"), is_read=True)
        mail.is_draft, mail.fields = True, fields
        self._shelve(mail, is_silent=False)
        return mail

    def redraft(self, mail: GraphMail, source: MailSource, fields: dict[str, Any]) -> None:
        """Change a draft's content."""
        mail.source, mail.fields = source, fields
        self._touch(mail)

    def send(self, mail: GraphMail) -> None:
        """Send a draft: it moves to Sent Items and keeps its immutable id."""
        mail.is_draft = False
        self.move(mail, "sentitems")

    def update(self, mail: GraphMail, changes: dict[str, Any]) -> None:
        """Change flags: ``isRead``, ``categories``, ``importance``, ``isFlagged``, ``isFlagComplete`` and others.

        Raises:
            MailboxError: An unknown property.
        """
        if unknown := changes.keys() - _UPDATES.keys():
            raise MailboxError("invalid", f"cannot update {sorted(unknown)}")
        self.mark(mail, changes)
        self._touch(mail)

    def mark(self, mail: GraphMail, changes: dict[str, Any]) -> None:
        """Set flags of a mail that has just been made, which is no change of its own."""
        for name, value in changes.items():
            setattr(mail, _UPDATES[name], value)

    def move(self, mail: GraphMail, folder: str) -> None:
        """Move a mail: its default id changes, and two changes are reported."""
        target = self.folder(folder)
        source = self.folders[mail.folder]
        source.timeline.remove(mail)
        self._log(source, mail, "deleted")
        self._change("deleted", mail, source.id)
        mail.home = source.id if target.well_known == "deleteditems" else ""
        mail.folder, mail.moves = target.id, mail.moves + 1
        self._renew(mail)
        target.timeline.add(mail)
        self._log(target, mail, "created")
        self._change("created", mail, target.id)

    def trash(self, mail: GraphMail) -> None:
        """Move a mail to Deleted Items."""
        self.move(mail, "deleteditems")

    def restore(self, mail: GraphMail) -> None:
        """Move a mail from Deleted Items to where it was, by default the Inbox."""
        self.move(mail, mail.home or "inbox")

    def delete(self, mail: GraphMail) -> None:
        """Delete a mail for good."""
        folder = self.folders[mail.folder]
        self._renew(mail)
        self.deleted.append(self.truth(mail))
        self.drop(mail)
        folder.timeline.remove(mail)
        self._log(folder, mail, "deleted")
        self._change("deleted", mail, folder.id)

    def truth(self, mail: GraphMail) -> dict[str, Any]:
        """Return the facts that a test can compare."""
        folder = self.folders[mail.folder]
        return {
            "id": self.id_of(mail.serial, 0, is_immutable=True),
            "defaultId": self.id_of(mail.serial, mail.moves, is_immutable=False),
            "internetMessageId": mail.source.message_id,
            "subject": mail.source.subject,
            "threadId": self.conversation_id(mail),
            "folderId": folder.id,
            "folder": self.path(folder),
            "wellKnownFolder": folder.well_known,
            "isRead": mail.is_read,
            "isDraft": mail.is_draft,
            "categories": list(mail.categories),
            "importance": mail.importance,
            "isFlagged": mail.is_flagged,
            "version": mail.version,
            "etag": self.etag(mail),
            "receivedAtMs": mail.received_ms,
        }

    def since(self, folder: Folder, position: int) -> Iterator[Logged]:
        """Yield a folder's log after a position.

        Raises:
            MailboxError: The log no longer goes back that far.
        """
        if len(folder.log) == LOG_MAX and folder.log[0].position > position:
            raise MailboxError("not_found", "the sync state is gone")
        entries: list[Logged] = []
        for entry in reversed(folder.log):
            if entry.position <= position:
                break
            entries.append(entry)
        yield from reversed(entries)

    def _new(self, source: MailSource, received_ms: int | None, folder: Folder, *, is_read: bool) -> GraphMail:
        now = self.clock.milliseconds()
        serial = self.next_serial()
        return GraphMail(
            serial=serial,
            source=source,
            received_ms=now if received_ms is None else received_ms,
            thread=self.threads.join(source, serial),
            is_read=is_read,
            modified_ms=now,
            folder=folder.id,
        )

    def _shelve(self, mail: GraphMail, *, is_silent: bool) -> None:
        self.store(mail)
        folder = self.folders[mail.folder]
        folder.timeline.add(mail)
        self._log(folder, mail, "created")
        if not is_silent:
            self._change("created", mail, folder.id)

    def _touch(self, mail: GraphMail) -> None:
        self._renew(mail)
        self._log(self.folders[mail.folder], mail, "updated")
        self._change("updated", mail, mail.folder)

    def _renew(self, mail: GraphMail) -> None:
        mail.version += 1
        mail.modified_ms = self.clock.milliseconds()

    def _log(self, folder: Folder, mail: GraphMail, kind: str) -> None:
        self.position += 1
        folder.log.append(Logged(self.position, mail.serial, mail.moves, kind))

    def _change(self, kind: Literal["created", "updated", "deleted"], mail: GraphMail, folder: str) -> None:
        self.listener(Change(kind, mail, folder, mail.moves, mail.version))


_UPDATES = {
    "isRead": "is_read",
    "categories": "categories",
    "importance": "importance",
    "isFlagged": "is_flagged",
    "isFlagComplete": "is_flag_complete",
    "inferenceClassification": "classification",
    "properties": "properties",
}


def _importance(source: MailSource) -> str:
    said = source.priority.strip().lower()
    if said in {"high", "low"}:
        return said
    return {"1": "high", "2": "high", "4": "low", "5": "low"}.get(said[:1], "normal")
