"""Mail that a program puts into a mailbox without sending it: insert and import."""

from simulator.eml import Eml, date_ms, parsed
from simulator.google.errors import api_error
from simulator.google.gmail import AUTH, USER, WRITE, boolean, mailbox_of
from simulator.google.messages import MESSAGE_FIELDS, view_of
from simulator.google.sending import check_thread, raw_of
from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.mailbox import MailboxError
from simulator.state import World

SCOPES = (*WRITE, f"{AUTH}gmail.insert")
QUERY = ("internalDateSource", "deleted")
IMPORT_QUERY = (*QUERY, "neverMarkSpam", "processForCalendar")
_SOURCES = frozenset({"receivedTime", "dateHeader"})


class Intake:
    """The methods ``messages.insert`` and ``messages.import``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the methods to the provider's table; units as in the quota table of new projects."""
        add, many = operations.add, f"{USER}/messages"
        add(
            "gmail.messages.import",
            "POST",
            f"{many}/import",
            self.import_json,
            scopes=SCOPES,
            units=25,
            query=IMPORT_QUERY,
        )
        add("gmail.messages.insert", "POST", many, self.insert_json, scopes=SCOPES, units=25, query=QUERY)

    def insert_json(self, call: Call) -> Reply:
        """Insert a mail given as base64url."""
        body = call.fields(MESSAGE_FIELDS)
        return self.insert(call, raw_of(body), body)

    def import_json(self, call: Call) -> Reply:
        """Import a mail given as base64url."""
        body = call.fields(MESSAGE_FIELDS)
        return self.import_(call, raw_of(body), body)

    def insert(self, call: Call, raw: bytes, metadata: JSON) -> Reply:
        """Put a mail into the mailbox as it is; its time is the present one unless the query asks for its Date."""
        return self._put(call, raw, metadata, "receivedTime")

    def import_(self, call: Call, raw: bytes, metadata: JSON) -> Reply:
        """Put a mail into the mailbox as if it had come; its time is its Date unless the query asks for the present."""
        for name in ("neverMarkSpam", "processForCalendar"):
            boolean(call, name)  # the simulator takes no mail for spam, and has no calendar
        return self._put(call, raw, metadata, "dateHeader")

    def _put(self, call: Call, raw: bytes, metadata: JSON, usual: str) -> Reply:
        source, mailbox = Eml(raw), mailbox_of(call)
        when = call.first("internalDateSource", usual)
        if when not in _SOURCES:
            raise api_error(400, "invalidArgument", f"Invalid value at 'internal_date_source': {when}")
        if boolean(call, "deleted"):
            raise NotSimulatedError("mail that only Vault can see (deleted=true)")
        labels = [str(label) for label in metadata.get("labelIds") or []]
        thread = check_thread(mailbox, str(metadata.get("threadId") or ""))
        received_ms = date_ms(parsed(source)) if when == "dateHeader" else None
        try:
            mail = mailbox.deliver(
                source, received_ms=received_ms, labels=labels, is_read="UNREAD" not in labels, thread=thread
            )
        except MailboxError as error:
            raise api_error(400, "invalidArgument", f"Invalid label: {error}") from error
        shown = view_of(call, self._world).message(mail, "minimal")
        return Reply(200, {name: shown[name] for name in ("id", "threadId", "labelIds")})
