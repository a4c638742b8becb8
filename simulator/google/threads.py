"""Gmail's threads: the messages of a conversation, read and changed together."""

from collections.abc import Callable
from typing import Any

from simulator.google.errors import api_error
from simulator.google.gmail import FULL, READ, USER, WRITE, find_mail, mailbox_of, number, relabel
from simulator.google.messages import FORM_QUERY, LIST_QUERY, format_of, read_search, view_of
from simulator.google.render import View, snippet
from simulator.http import JSON, Call, Operations, Reply
from simulator.mailboxes.gmail_mail import GmailMail
from simulator.state import World


class Threads:
    """The thread resource."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table; units as in the quota table of new projects."""
        add, many = operations.add, f"{USER}/threads"
        one = f"{many}/{{id}}"
        add("gmail.threads.list", "GET", many, self.list, scopes=READ, units=20, query=LIST_QUERY)
        add("gmail.threads.get", "GET", one, self.get, scopes=READ, units=40, query=FORM_QUERY)
        add("gmail.threads.modify", "POST", f"{one}/modify", self.modify, scopes=WRITE, units=20)
        add("gmail.threads.trash", "POST", f"{one}/trash", self.trash, scopes=WRITE, units=20)
        add("gmail.threads.untrash", "POST", f"{one}/untrash", self.untrash, scopes=WRITE, units=20)
        add("gmail.threads.delete", "DELETE", one, self.delete, scopes=FULL[:1], units=40)

    def list(self, call: Call) -> Reply:
        """Return a page of threads, by their newest message that the search finds."""
        mailbox, size = mailbox_of(call), number(call, "maxResults", 100, 500)
        start = int(call.first("pageToken", "0")) if call.first("pageToken", "0").isdecimal() else -1
        if start < 0:
            raise api_error(400, "invalidArgument", "Invalid pageToken")
        found, _ = read_search(call).page(mailbox, "", len(mailbox.mails) + 1)
        newest: dict[int, GmailMail] = {}
        for mail in found:
            newest.setdefault(mail.thread, mail)
        shown = [
            {"id": mailbox.id_of(thread), "snippet": snippet(mail.source), "historyId": str(mail.history_id)}
            for thread, mail in newest.items()
        ]
        body: JSON = {"resultSizeEstimate": len(shown)}
        if page := shown[start : start + size]:
            body["threads"] = page
        if start + size < len(shown):
            body["nextPageToken"] = str(start + size)
        return Reply(200, body)

    def get(self, call: Call) -> Reply:
        """Return a thread with its messages, oldest first."""
        form = format_of(call)
        if form == "raw":
            raise api_error(400, "invalidArgument", "Invalid value at 'format': raw")
        return self._shown(call, view_of(call, self._world), form)

    def modify(self, call: Call) -> Reply:
        """Change the labels of every message."""
        relabel(call, _mails(call))
        return self._shown(call, View(mailbox_of(call)), "minimal")

    def trash(self, call: Call) -> Reply:
        """Put every message into the trash."""
        return self._each(call, mailbox_of(call).trash)

    def untrash(self, call: Call) -> Reply:
        """Take every message out of the trash."""
        return self._each(call, mailbox_of(call).restore)

    def delete(self, call: Call) -> Reply:
        """Delete every message for good."""
        for mail in _mails(call):
            mailbox_of(call).delete(mail)
        return Reply(204)

    def _each(self, call: Call, act: Callable[[GmailMail], Any]) -> Reply:
        for mail in _mails(call):
            act(mail)
        return self._shown(call, View(mailbox_of(call)), "minimal")

    def _shown(self, call: Call, view: View, form: str) -> Reply:
        mails = _mails(call)
        newest = str(max(mail.history_id for mail in mails))
        messages = [view.message(mail, form) for mail in mails]
        return Reply(200, {"id": call.params["id"], "historyId": newest, "messages": messages})


def _mails(call: Call) -> list[GmailMail]:
    """Return a thread's messages, oldest first; 404 when there is none.

    The first message can be deleted while others stay, so that the thread's id need not name a message.
    """
    mailbox = mailbox_of(call)
    found = [mail for mail in mailbox.mails.values() if mailbox.id_of(mail.thread) == call.params["id"]]
    if not found:
        find_mail(mailbox, "")
    return sorted(found, key=lambda mail: (mail.received_ms, mail.serial))
