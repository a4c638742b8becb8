"""Gmail's messages, profile and attachments."""

from simulator.google.errors import api_error
from simulator.google.gmail import (
    AUTH,
    FULL,
    READ,
    USER,
    WRITE,
    boolean,
    find_mail,
    mail_of,
    mailbox_of,
    number,
    relabel,
)
from simulator.google.render import View, b64url, find_attachment
from simulator.google.search import Search
from simulator.google.sending import Sender, raw_of
from simulator.http import JSON, Call, Operations, Reply
from simulator.state import World

SEND = (*WRITE, f"{AUTH}gmail.send", f"{AUTH}gmail.compose")
LIST_QUERY = ("q", "labelIds", "includeSpamTrash", "maxResults", "pageToken")
FORM_QUERY = ("format", "metadataHeaders")
MESSAGE_FIELDS = ("raw", "threadId", "id", "labelIds", "snippet", "historyId", "internalDate", "sizeEstimate")
_IDS_MAX = 1000


class Messages:
    """Profile, messages and attachments."""

    def __init__(self, world: World, sender: Sender) -> None:
        self._world = world
        self._sender = sender

    def register(self, operations: Operations) -> None:
        """Add the resources to the provider's table; units as in the quota table of new projects."""
        add = operations.add
        add("gmail.profile", "GET", f"{USER}/profile", self.profile, scopes=READ, units=1)
        many, one = f"{USER}/messages", f"{USER}/messages/{{id}}"
        add("gmail.messages.list", "GET", many, self.list, scopes=READ, units=5, query=LIST_QUERY)
        add("gmail.messages.send", "POST", f"{many}/send", self.send, scopes=SEND, units=100)
        add("gmail.messages.batch_modify", "POST", f"{many}/batchModify", self.batch_modify, scopes=WRITE, units=50)
        add("gmail.messages.batch_delete", "POST", f"{many}/batchDelete", self.batch_delete, scopes=FULL[:1], units=50)
        add("gmail.messages.get", "GET", one, self.get, scopes=READ, units=20, query=FORM_QUERY)
        add("gmail.messages.delete", "DELETE", one, self.delete, scopes=FULL[:1], units=20)
        add("gmail.messages.modify", "POST", f"{one}/modify", self.modify, scopes=WRITE, units=5)
        add("gmail.messages.trash", "POST", f"{one}/trash", self.trash, scopes=WRITE, units=20)
        add("gmail.messages.untrash", "POST", f"{one}/untrash", self.untrash, scopes=WRITE, units=20)
        add("gmail.attachments.get", "GET", f"{one}/attachments/{{attachment}}", self.attachment, scopes=FULL, units=20)

    def profile(self, call: Call) -> Reply:
        """Return the address, the counts and the present history id."""
        mailbox = mailbox_of(call)
        threads = (
            len({mail.thread for mail in mailbox.mails.values()}) if len(mailbox.mails) < 10_000 else len(mailbox.mails)
        )
        counts = {"messagesTotal": len(mailbox.mails), "threadsTotal": threads}
        return Reply(200, {"emailAddress": mailbox.address, **counts, "historyId": str(mailbox.history_id)})

    def list(self, call: Call) -> Reply:
        """Return a page of ids, newest first."""
        mailbox = mailbox_of(call)
        search = read_search(call)
        found, token = search.page(mailbox, call.first("pageToken"), number(call, "maxResults", 100, 500))
        body: JSON = {"resultSizeEstimate": len(found) + (201 if token else 0)}
        if found:
            body["messages"] = [
                {"id": mailbox.id_of(mail.serial), "threadId": mailbox.id_of(mail.thread)} for mail in found
            ]
        if token:
            body["nextPageToken"] = token
        return Reply(200, body)

    def get(self, call: Call) -> Reply:
        """Return one message in the format asked for."""
        form = format_of(call)
        return Reply(200, view_of(call, self._world).message(mail_of(call), form))

    def attachment(self, call: Call) -> Reply:
        """Return one attachment's bytes, by an id that a fetch of the mail gave a short time ago."""
        life = self._world.knobs.gmail_attachment_id_seconds
        oldest = self._world.clock.milliseconds() - int(life * 1000) if life else 0
        part = find_attachment(mail_of(call), call.params["attachment"], oldest)
        if part is None:
            raise api_error(400, "invalidArgument", "Invalid attachment token")
        return Reply(200, {"size": len(part.content), "data": b64url(part.content)})

    def modify(self, call: Call) -> Reply:
        """Change a message's labels."""
        mail = mail_of(call)
        relabel(call, [mail])
        return Reply(200, View(mailbox_of(call)).message(mail, "minimal"))

    def batch_modify(self, call: Call) -> Reply:
        """Change the labels of up to a thousand messages."""
        relabel(call, [find_mail(mailbox_of(call), one) for one in _ids(call)], ("ids",))
        return Reply(204)

    def batch_delete(self, call: Call) -> Reply:
        """Delete up to a thousand messages for good."""
        call.fields(("ids",))
        for one in _ids(call):
            mailbox_of(call).delete(find_mail(mailbox_of(call), one))
        return Reply(204)

    def trash(self, call: Call) -> Reply:
        """Put a message into the trash."""
        mail = mail_of(call)
        mailbox_of(call).trash(mail)
        return Reply(200, View(mailbox_of(call)).message(mail, "minimal"))

    def untrash(self, call: Call) -> Reply:
        """Take a message out of the trash."""
        mail = mail_of(call)
        mailbox_of(call).restore(mail)
        return Reply(200, View(mailbox_of(call)).message(mail, "minimal"))

    def delete(self, call: Call) -> Reply:
        """Delete a message for good."""
        mailbox_of(call).delete(mail_of(call))
        return Reply(204)

    def send(self, call: Call) -> Reply:
        """Send a mail given as base64url."""
        body = call.fields(MESSAGE_FIELDS)
        return self._sender.send(call, raw_of(body), str(body.get("threadId") or ""))


def _ids(call: Call) -> list[str]:
    ids = call.json_object().get("ids") or []
    if len(ids) > _IDS_MAX:
        raise api_error(400, "invalidArgument", "Too many ids.")
    return [str(one) for one in ids]


def read_search(call: Call) -> Search:
    """Return the search that a list of messages, threads or drafts asks for.

    Raises:
        ApiError: 403, the scope allows no search; 400, it is malformed.
    """
    if call.first("q") and call.grant and not call.grant.scopes & set(FULL):
        raise api_error(403, "forbidden", "Metadata scope does not support 'q' parameter")
    labels = call.every("labelIds")
    if wrong := next((label for label in labels if not mailbox_of(call).has_label(label)), ""):
        raise api_error(400, "invalidArgument", f"Invalid label: {wrong}")
    return Search.read(call.first("q"), labels, includes_trash=boolean(call, "includeSpamTrash"))


def format_of(call: Call) -> str:
    """Return the format that a call asks for.

    Raises:
        ApiError: 400 or 403, there is no such format, or the scope does not allow it.
    """
    form = call.first("format", "full").lower()
    if form not in {"minimal", "metadata", "full", "raw"}:
        raise api_error(400, "invalidArgument", f"Invalid value at 'format': {form}")
    if form in {"full", "raw"} and call.grant and not call.grant.scopes & set(FULL):
        raise api_error(403, "forbidden", f"Metadata scope doesn't allow format {form.upper()}")
    return form


def view_of(call: Call, world: World) -> View:
    """Return the view that a call asks for."""
    return View(
        mailbox_of(call),
        body_charset=world.knobs.gmail_body_charset,
        header_words=world.knobs.gmail_header_words,
        metadata_headers=tuple(call.every("metadataHeaders")),
        inline_bytes=world.knobs.gmail_inline_bytes,
        held_back_bytes=world.knobs.gmail_held_back_bytes,
    )
