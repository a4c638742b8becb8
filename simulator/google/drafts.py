"""Gmail's drafts: a stable id over messages that are replaced at each change."""

from simulator.eml import Eml
from simulator.google.errors import api_error
from simulator.google.gmail import AUTH, READ, USER, WRITE, mailbox_of, number
from simulator.google.messages import MESSAGE_FIELDS, format_of, read_search, view_of
from simulator.google.sending import Sender, check_thread, raw_of
from simulator.http import JSON, Call, Operations, Reply, known_fields
from simulator.mailboxes.gmail_mail import GmailMail
from simulator.state import World

SCOPES = (*WRITE, f"{AUTH}gmail.compose")
_LIST = ("q", "includeSpamTrash", "maxResults", "pageToken")


class Drafts:
    """The draft resource."""

    def __init__(self, world: World, sender: Sender) -> None:
        self._world = world
        self._sender = sender

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table; units as in the quota table of new projects."""
        add, many = operations.add, f"{USER}/drafts"
        one = f"{many}/{{draft}}"
        add("gmail.drafts.list", "GET", many, self.list, scopes=READ, units=5, query=_LIST)
        add("gmail.drafts.create", "POST", many, self.create_json, scopes=SCOPES, units=10)
        add("gmail.drafts.send", "POST", f"{many}/send", self.send, scopes=SCOPES, units=100)
        add("gmail.drafts.get", "GET", one, self.get, scopes=READ, units=20, query=("format",))
        add("gmail.drafts.update", "PUT", one, self.update_json, scopes=SCOPES, units=15)
        add("gmail.drafts.delete", "DELETE", one, self.delete, scopes=SCOPES, units=10)

    def list(self, call: Call) -> Reply:
        """Return a page of drafts, newest first."""
        mailbox = mailbox_of(call)
        search = read_search(call)
        size = number(call, "maxResults", 100, 500)
        found, token = search.only({"DRAFT"}).page(mailbox, call.first("pageToken"), size)
        body: JSON = {"resultSizeEstimate": len(found)}
        if found:
            body["drafts"] = [self._brief(call, mail) for mail in found]
        if token:
            body["nextPageToken"] = token
        return Reply(200, body)

    def get(self, call: Call) -> Reply:
        """Return one draft with its message."""
        mail, form = self._draft(call, call.params["draft"]), format_of(call)
        return Reply(200, {"id": mail.draft_id, "message": view_of(call, self._world).message(mail, form)})

    def create_json(self, call: Call) -> Reply:
        """Keep a draft given as base64url."""
        message = _message(call.fields(("message", "id")))
        return self.create(call, raw_of(message), str(message.get("threadId") or ""))

    def create(self, call: Call, raw: bytes, thread_id: str) -> Reply:
        """Keep a draft given as bytes."""
        mailbox = mailbox_of(call)
        mail = mailbox.draft(Eml(raw), None, thread=check_thread(mailbox, thread_id))
        return Reply(200, self._brief(call, mail))

    def update_json(self, call: Call) -> Reply:
        """Replace a draft by one given as base64url."""
        message = _message(call.fields(("message", "id")))
        return self.update(call, raw_of(message), str(message.get("threadId") or ""))

    def update(self, call: Call, raw: bytes, thread_id: str) -> Reply:
        """Replace a draft by one given as bytes; its id stays and its message gets another."""
        mailbox, mail = mailbox_of(call), self._draft(call, call.params["draft"])
        thread = check_thread(mailbox, thread_id)
        mailbox.delete(mail)
        return Reply(200, self._brief(call, mailbox.draft(Eml(raw), None, draft_id=mail.draft_id, thread=thread)))

    def delete(self, call: Call) -> Reply:
        """Delete a draft for good."""
        mailbox_of(call).delete(self._draft(call, call.params["draft"]))
        return Reply(204)

    def send(self, call: Call) -> Reply:
        """Send a draft, which is consumed; a message beside the id replaces its content first."""
        body = call.fields(("id", "message"))
        mail = self._draft(call, str(body.get("id") or ""))
        message = _message(body)
        raw = raw_of(message) if message.get("raw") else mail.source.raw()
        return self.send_raw(call, mail, raw)

    def send_raw(self, call: Call, mail: GmailMail, raw: bytes) -> Reply:
        """Send a draft with this content."""
        mailbox = mailbox_of(call)
        thread = mailbox.id_of(mail.thread) if mail.thread != mail.serial else ""
        return self._sender.send(call, raw, thread, mail)

    def _draft(self, call: Call, draft_id: str) -> GmailMail:
        mail = mailbox_of(call).find_draft(draft_id)
        if mail is None:
            raise api_error(404, "notFound", "Requested entity was not found.")
        return mail

    def _brief(self, call: Call, mail: GmailMail) -> JSON:
        message = view_of(call, self._world).message(mail, "minimal")
        return {"id": mail.draft_id, "message": {name: message[name] for name in ("id", "threadId", "labelIds")}}


def _message(body: JSON) -> JSON:
    return known_fields(body.get("message") or {}, MESSAGE_FIELDS, where="draft's message")
