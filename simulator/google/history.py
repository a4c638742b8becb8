"""Gmail's ``history.list``."""

from simulator.google.errors import api_error
from simulator.google.gmail import READ, USER, mailbox_of, number
from simulator.http import JSON, Call, Operations, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import HistoryRecord
from simulator.mailboxes.mailbox import MailboxError
from simulator.state import World

_QUERY = ("startHistoryId", "historyTypes", "labelId", "maxResults", "pageToken")
_LISTS = {
    "messageAdded": "messagesAdded",
    "messageDeleted": "messagesDeleted",
    "labelAdded": "labelsAdded",
    "labelRemoved": "labelsRemoved",
}


class History:
    """The changes after a history id, in order, in pages."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the operation to the provider's table."""
        operations.add("gmail.history.list", "GET", f"{USER}/history", self.list, scopes=READ, units=2, query=_QUERY)

    def list(self, call: Call) -> Reply:
        """Return one page; the list is absent when nothing happened."""
        mailbox = mailbox_of(call)
        start = call.first("pageToken") or call.first("startHistoryId")
        if not call.first("startHistoryId").isdecimal() or not start.isdecimal():
            raise api_error(400, "invalidArgument", "Missing or invalid startHistoryId")
        wanted = _wanted(call)
        # A lagging history answers the newer id without the record that led to it.
        horizon = mailbox.clock.milliseconds() - mailbox.history_lag_ms
        try:
            records = mailbox.since(int(start))
            found = [
                record
                for record in records
                if record.at_ms <= horizon
                and record.kind in wanted
                and call.first("labelId") in ("", *record.concerns())
            ]
        except MailboxError as error:
            raise api_error(404, "notFound", "Requested entity was not found.") from error
        if mailbox.old_history_answers > 0:
            mailbox.old_history_answers -= 1
            return Reply(200, {"historyId": str(max(1, int(start) - 1))})
        size = number(call, "maxResults", 100, 500)
        body: JSON = {"historyId": str(mailbox.history_id)}
        if found:
            body["history"] = [_shown(mailbox, record) for record in found[:size]]
        if len(found) > size:
            body["nextPageToken"] = str(found[size - 1].id)
        return Reply(200, body)


def _wanted(call: Call) -> frozenset[str]:
    kinds = frozenset(call.every("historyTypes"))
    if kinds - _LISTS.keys():
        raise api_error(400, "invalidArgument", f"Invalid value at 'history_types': {sorted(kinds - _LISTS.keys())}")
    return kinds or frozenset(_LISTS)


def _shown(mailbox: GmailMailbox, record: HistoryRecord) -> JSON:
    message = {"id": mailbox.id_of(record.serial), "threadId": mailbox.id_of(record.thread)}
    entry: JSON = {"message": {**message, "labelIds": list(record.labels)}}
    if record.changed:
        entry["labelIds"] = list(record.changed)
    return {"id": str(record.id), "messages": [message], _LISTS[record.kind]: [entry]}
