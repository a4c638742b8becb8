"""Attachments of messages: reading them, and adding them to drafts."""

from typing import Any

from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply, known_fields
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.composing import fields_of_mail
from simulator.microsoft.drafts import Drafts
from simulator.microsoft.errors import graph_error
from simulator.microsoft.graph import READ, USER, WRITE, mailbox_of, next_link
from simulator.microsoft.items import mail_of
from simulator.microsoft.odata import known_selection, seal, unseal, wants_immutable
from simulator.microsoft.render import ATTACHMENT_PROPERTIES, Attachment, View, rendered
from simulator.state import World

_MAX_POST_BYTES = 3 * 1024 * 1024
_FILE = "#microsoft.graph.fileattachment"
FIELDS = ("name", "contentType", "contentBytes", "isInline", "contentId", "size")


class Attachments:
    """The attachment resource."""

    def __init__(self, world: World, drafts: Drafts) -> None:
        self._world = world
        self._drafts = drafts

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table."""
        add = operations.add
        path = f"{USER}/messages/{{id}}/attachments"
        one = f"{path}/{{attachment}}"
        add("graph.attachments.list", "GET", path, self.list, scopes=READ, query=("$select", "$skiptoken"))
        add("graph.attachments.create", "POST", path, self.create, scopes=WRITE)
        add("graph.attachments.get", "GET", one, self.get, scopes=READ, query=("$select",))
        add("graph.attachments.delete", "DELETE", one, self.delete, scopes=WRITE)
        add("graph.attachments.value", "GET", f"{one}/$value", self.value, scopes=READ)

    def list(self, call: Call) -> Reply:
        """Return a page of a message's attachments."""
        mail, size = mail_of(call), self._world.knobs.graph_attachments_page
        found = rendered(mail.source).attachments
        start = int(unseal(call.first("$skiptoken")).get("n", 0)) if call.first("$skiptoken") else 0
        body: JSON = {"value": [_shown(call, mail, one) for one in found[start : start + size]]}
        if start + size < len(found):
            body["@odata.nextLink"] = next_link(self._world, call, seal({"n": start + size}))
        return Reply(200, body)

    def get(self, call: Call) -> Reply:
        """Return one attachment."""
        mail = mail_of(call)
        return Reply(200, _shown(call, mail, _attachment(call, mail)))

    def value(self, call: Call) -> Reply:
        """Return one attachment's bytes."""
        part = _attachment(call, mail_of(call)).part
        return Reply(200, part.content, {"content-type": part.content_type})

    def create(self, call: Call) -> Reply:
        """Add a file of less than 3 MB to a draft (Graph's guide to large attachments)."""
        mail, mailbox = mail_of(call), mailbox_of(call)
        attachment = attachment_fields(call.json_object())
        if len(attachment["base64"]) * 3 // 4 > _MAX_POST_BYTES:
            raise graph_error(413, "RequestEntityTooLarge", "The file needs an upload session.")
        self.add(mailbox, mail, attachment)
        return Reply(201, _shown(call, mail, rendered(mail.source).attachments[-1]))

    def add(self, mailbox: GraphMailbox, mail: GraphMail, attachment: JSON) -> str:
        """Add a file to a draft, and return its default id."""
        fields = _fields_of_draft(mail)
        fields["attachments"] = [*(fields.get("attachments") or []), attachment]
        self._drafts.rewrite(mailbox, mail, fields)
        made = rendered(mail.source).attachments[-1]
        return str(View(mailbox, is_immutable=False).attachment(mail, made, frozenset({"name"}))["id"])

    def delete(self, call: Call) -> Reply:
        """Take an attachment out of a draft."""
        mail = mail_of(call)
        index = _attachment(call, mail).index
        fields = _fields_of_draft(mail)
        kept = [one for at, one in enumerate(fields.get("attachments") or []) if at != index]
        self._drafts.rewrite(mailbox_of(call), mail, {**fields, "attachments": kept})
        return Reply(204)


def attachment_fields(body: JSON) -> JSON:
    """Return a file attachment as :func:`simulator.eml.compose` takes it.

    Raises:
        NotSimulatedError: It is an item or a link.
        ApiError: 400, its content is missing.
    """
    kind = str(body.get("@odata.type", _FILE))
    if kind.lower() != _FILE:
        raise NotSimulatedError(f"attachments of the type {kind}")
    given = known_fields(body, FIELDS, where="attachment")
    if not isinstance(given.get("contentBytes"), str) or not isinstance(given.get("name"), str):
        raise graph_error(400, "ErrorInvalidRequest", "A file attachment needs name and contentBytes.")
    return {
        "name": given["name"],
        "contentType": given.get("contentType") or "application/octet-stream",
        "base64": given["contentBytes"],
        "isInline": bool(given.get("isInline")),
        "contentId": given.get("contentId"),
    }


def _fields_of_draft(mail: GraphMail) -> dict[str, Any]:
    if not mail.is_draft:
        raise graph_error(400, "ErrorInvalidRequest", "Attachments can be changed on drafts only.")
    return dict(fields_of_mail(mail.source) if mail.fields is None else mail.fields)


def _shown(call: Call, mail: GraphMail, attachment: Attachment) -> JSON:
    view = View(mailbox_of(call), is_immutable=wants_immutable(call))
    fields = known_selection(call.first("$select"), ATTACHMENT_PROPERTIES, "an attachment")
    return view.attachment(mail, attachment, frozenset(fields))


def _attachment(call: Call, mail: GraphMail) -> Attachment:
    index = call.params["attachment"].rpartition("-att")[2].rstrip("=")
    found = rendered(mail.source).attachments
    if not index.isdecimal() or int(index) >= len(found):
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return found[int(index)]
