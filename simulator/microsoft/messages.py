"""Messages: reading them in every form, and what a client may do to them."""

import re
from typing import Any

from simulator.eml import Eml, compose
from simulator.generate import mix
from simulator.http import JSON, Call, Operations, Reply
from simulator.mailboxes.graph import GraphMail, GraphMailbox
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.errors import graph_error
from simulator.microsoft.graph import BASE, READ, USER, WRITE, folder_of, mailbox_of, next_link
from simulator.microsoft.odata import applied, listed, selected, view_for, wants_immutable
from simulator.microsoft.render import Attachment, View, rendered
from simulator.state import World

_PATCHABLE = {"isRead", "categories", "importance", "flag"}
_DRAFT_FIELDS = {
    "subject",
    "body",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "replyTo",
    "internetMessageHeaders",
}


class Messages:
    """The message resource."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table."""
        add = operations.add
        for path in (f"{USER}/messages", f"{USER}/mailFolders/{{folder}}/messages"):
            add("graph.messages.list", "GET", path, self.list, scopes=READ)
            add("graph.messages.create", "POST", path, self.create, scopes=WRITE)
            add("graph.messages.get", "GET", f"{path}/{{id}}", self.get, scopes=READ)
        one = f"{USER}/messages/{{id}}"
        add("graph.messages.mime", "GET", f"{one}/$value", self.mime, scopes=READ)
        add("graph.attachments.list", "GET", f"{one}/attachments", self.attachments, scopes=READ)
        add("graph.attachments.get", "GET", f"{one}/attachments/{{attachment}}", self.attachment, scopes=READ)
        add(
            "graph.attachments.value",
            "GET",
            f"{one}/attachments/{{attachment}}/$value",
            self.attachment_value,
            scopes=READ,
        )
        add("graph.messages.update", "PATCH", one, self.update, scopes=WRITE)
        add("graph.messages.delete", "DELETE", one, self.delete, scopes=WRITE)
        add("graph.messages.permanent_delete", "POST", f"{one}/permanentDelete", self.permanent_delete, scopes=WRITE)
        add("graph.messages.move", "POST", f"{one}/move", self.move, scopes=WRITE)
        add("graph.messages.send", "POST", f"{one}/send", self.send, scopes=("Mail.Send",))
        add("graph.send_mail", "POST", f"{USER}/sendMail", self.send_mail, scopes=("Mail.Send",))
        add("graph.translate_ids", "POST", f"{USER}/translateExchangeIds", self.translate, scopes=("User.Read", *READ))

    def list(self, call: Call) -> Reply:
        """Return a page of messages, newest first unless told otherwise."""
        mailbox = mailbox_of(call)
        timeline = folder_of(call).timeline if "folder" in call.params else mailbox.timeline
        mails, token = listed(call, mailbox, timeline)
        view = view_for(call, mailbox)
        expand = _expander(call, view)
        body: JSON = {
            "@odata.context": self._context(call, "messages"),
            "value": [view.message(mail, expand=expand) for mail in mails],
        }
        if call.first("$count") == "true":
            body["@odata.count"] = len(timeline)
        if token:
            body["@odata.nextLink"] = next_link(self._world, call, token)
        return Reply(200, body, applied(call))

    def get(self, call: Call) -> Reply:
        """Return one message."""
        view = view_for(call, mailbox_of(call))
        message = view.message(_mail(call), expand=_expander(call, view))
        return Reply(200, {"@odata.context": self._context(call, "messages/$entity"), **message}, applied(call))

    def mime(self, call: Call) -> Reply:
        """Return the mail's bytes."""
        return Reply(200, _mail(call).source.raw(), {"content-type": "text/plain"})

    def attachments(self, call: Call) -> Reply:
        """Return a message's attachments."""
        view = View(mailbox_of(call), is_immutable=wants_immutable(call))
        mail = _mail(call)
        fields = frozenset(selected(call.first("$select")))
        return Reply(
            200,
            {"value": [view.attachment(mail, attachment, fields) for attachment in rendered(mail.source).attachments]},
        )

    def attachment(self, call: Call) -> Reply:
        """Return one attachment."""
        view = View(mailbox_of(call), is_immutable=wants_immutable(call))
        mail = _mail(call)
        return Reply(200, view.attachment(mail, _attachment(call, mail), frozenset(selected(call.first("$select")))))

    def attachment_value(self, call: Call) -> Reply:
        """Return one attachment's bytes."""
        part = _attachment(call, _mail(call)).part
        return Reply(200, part.content, {"content-type": part.content_type})

    def update(self, call: Call) -> Reply:
        """Change a message's flags, or what a draft says."""
        body, mail, mailbox = call.json_object(), _mail(call), mailbox_of(call)
        changes = {key: body[key] for key in _PATCHABLE & body.keys()}
        if "flag" in changes:
            changes["isFlagged"] = changes.pop("flag").get("flagStatus") == "flagged"
        if mail.is_draft and _DRAFT_FIELDS & body.keys():
            fields = {**(mail.fields or {}), **fields_of(body)}
            mailbox.redraft(mail, self._written(mailbox, fields, mail.source.message_id), fields)
        if changes:
            mailbox.update(mail, changes)
        return Reply(200, view_for(call, mailbox).message(mail), applied(call))

    def delete(self, call: Call) -> Reply:
        """Move a message to Deleted Items; from there delete it for good."""
        mail, mailbox = _mail(call), mailbox_of(call)
        if mail.folder == mailbox.folder("deleteditems").id:
            mailbox.delete(mail)
        else:
            mailbox.trash(mail)
        return Reply(204)

    def permanent_delete(self, call: Call) -> Reply:
        """Delete a message for good."""
        mailbox_of(call).delete(_mail(call))
        return Reply(204)

    def move(self, call: Call) -> Reply:
        """Move a message; the answer has its new default id."""
        mailbox, mail = mailbox_of(call), _mail(call)
        try:
            mailbox.move(mail, str(call.json_object().get("destinationId", "")))
        except MailboxError as error:
            raise graph_error(404, "ErrorItemNotFound", "The destination folder was not found.") from error
        return Reply(201, view_for(call, mailbox).message(mail), applied(call))

    def create(self, call: Call) -> Reply:
        """Keep a draft."""
        mailbox = mailbox_of(call)
        fields = fields_of(call.json_object())
        mail = mailbox.draft(self._written(mailbox, fields), fields)
        return Reply(201, view_for(call, mailbox).message(mail), applied(call))

    def send(self, call: Call) -> Reply:
        """Send a draft."""
        mailbox_of(call).send(_mail(call))
        return Reply(202)

    def send_mail(self, call: Call) -> Reply:
        """Send a message in one call."""
        body, mailbox = call.json_object(), mailbox_of(call)
        if body.get("saveToSentItems", True):
            mailbox.deliver(
                self._written(mailbox, fields_of(body.get("message", {}))), folder="sentitems", is_read=True
            )
        return Reply(202)

    def translate(self, call: Call) -> Reply:
        """Translate default ids into immutable ones or back."""
        body, mailbox = call.json_object(), mailbox_of(call)
        is_immutable = body.get("targetIdType") == "restImmutableEntryId"
        found = []
        for given in body.get("inputIds", [])[:1000]:
            mail = _find(mailbox, given)
            found.append(
                {"sourceId": given, "targetId": mailbox.id_of(mail.serial, mail.moves, is_immutable=is_immutable)}
            )
        return Reply(200, {"value": found})

    def _written(self, mailbox: GraphMailbox, fields: dict[str, Any], message_id: str = "") -> Eml:
        now = self._world.clock.now()
        made = message_id or f"<{mix(mailbox.position + 1):016x}.{mailbox.token.hex()}@outlook.test>"
        return Eml(
            compose(
                {"from": mailbox.address, **fields},
                default_date=now.strftime("%a, %d %b %Y %H:%M:%S +0000"),
                default_message_id=made,
            )
        )

    def _context(self, call: Call, what: str) -> str:
        user = call.account.id if call.account else "me"
        return f"{self._world.microsoft_url}{BASE}/$metadata#users('{user}')/{what}"


def fields_of(message: JSON) -> dict[str, Any]:
    """Return a Graph message's writable properties as the fields that :func:`simulator.eml.compose` takes."""
    fields: dict[str, Any] = {}
    if "subject" in message:
        fields["subject"] = message["subject"]
    for key, name in (("toRecipients", "to"), ("ccRecipients", "cc"), ("bccRecipients", "bcc"), ("replyTo", "replyTo")):
        if key in message:
            fields[name] = [recipient["emailAddress"]["address"] for recipient in message[key]]
    if body := message.get("body"):
        fields["html" if str(body.get("contentType", "")).lower() == "html" else "text"] = body.get("content", "")
    if headers := message.get("internetMessageHeaders"):
        fields["headers"] = {header["name"]: header["value"] for header in headers}
    return fields


_ATTACHMENTS = re.compile(r"attachments(?:\(\$select=([^)]*)\))?")


def _expander(call: Call, view: View) -> Any:
    wanted = _ATTACHMENTS.match(call.first("$expand"))
    if wanted is None:
        return None
    # A field of a derived type is named with the type before it: microsoft.graph.fileAttachment/contentId.
    fields = frozenset(name.rpartition("/")[2] for name in selected(wanted[1] or ""))
    return lambda mail: [view.attachment(mail, attachment, fields) for attachment in rendered(mail.source).attachments]


def _find(mailbox: GraphMailbox, mail_id: str) -> GraphMail:
    try:
        return mailbox.find(mail_id)
    except MailboxError as error:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.") from error


def _mail(call: Call) -> GraphMail:
    mail = _find(mailbox_of(call), call.params["id"])
    if "folder" in call.params and folder_of(call).id != mail.folder:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return mail


def _attachment(call: Call, mail: GraphMail) -> Attachment:
    index = call.params["attachment"].rpartition("-att")[2].rstrip("=")
    found = rendered(mail.source).attachments
    if not index.isdecimal() or int(index) >= len(found):
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return found[int(index)]
