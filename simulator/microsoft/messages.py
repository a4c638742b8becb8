"""Messages: reading them in every form, and the operations on them."""

from typing import Any

from simulator.http import JSON, Call, Operations, Reply, known_fields
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.attachments import attachment_fields
from simulator.microsoft.composing import fields_of_mail
from simulator.microsoft.drafts import (
    FLAGS,
    READ_ONLY,
    WRITTEN,
    Drafts,
    checked,
    fields_of,
    flags_of,
    is_mime,
)
from simulator.microsoft.errors import graph_error
from simulator.microsoft.graph import BASE, READ, USER, WRITE, folder_of, mailbox_of, next_link
from simulator.microsoft.items import expander, find_mail, mail_of, property_key
from simulator.microsoft.listing import listed
from simulator.microsoft.odata import applied, view_for
from simulator.state import World

_ONE = ("$select", "$expand")
_LIST = (*_ONE, "$filter", "$orderby", "$top", "$skip", "$skiptoken", "$count", "$search")
_PROPERTIES = "singleValueExtendedProperties"
_CREATED = WRITTEN | FLAGS | {"attachments", _PROPERTIES}
_SEND = ("Mail.Send",)


class Messages:
    """The message resource."""

    def __init__(self, world: World, drafts: Drafts) -> None:
        self._world = world
        self._drafts = drafts

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table."""
        add = operations.add
        for path in (f"{USER}/messages", f"{USER}/mailFolders/{{folder}}/messages"):
            add("graph.messages.list", "GET", path, self.list, scopes=READ, query=_LIST)
            add("graph.messages.create", "POST", path, self.create, scopes=WRITE)
            one = f"{path}/{{id}}"
            add("graph.messages.get", "GET", one, self.get, scopes=READ, query=_ONE)
            add("graph.messages.mime", "GET", f"{one}/$value", self.mime, scopes=READ)
            add("graph.messages.update", "PATCH", one, self.update, scopes=WRITE)
            add("graph.messages.delete", "DELETE", one, self.delete, scopes=WRITE)
            add("graph.messages.permanent_delete", "POST", f"{one}/permanentDelete", self.erase, scopes=WRITE)
            add("graph.messages.move", "POST", f"{one}/move", self.move, scopes=WRITE)
            add("graph.messages.copy", "POST", f"{one}/copy", self.copy, scopes=WRITE)
            add("graph.messages.send", "POST", f"{one}/send", self.send, scopes=_SEND)
        add("graph.send_mail", "POST", f"{USER}/sendMail", self.send_mail, scopes=_SEND)
        add("graph.translate_ids", "POST", f"{USER}/translateExchangeIds", self.translate, scopes=("User.Read", *READ))

    def list(self, call: Call) -> Reply:
        """Return a page of messages, newest first unless $orderby says otherwise."""
        mailbox = mailbox_of(call)
        timeline = folder_of(call).timeline if "folder" in call.params else mailbox.timeline
        view = view_for(call, mailbox)
        expand = expander(call, view)
        found = listed(call, mailbox, timeline)
        body: JSON = {
            "@odata.context": self._context(call, "messages"),
            "value": [view.message(mail, expand=expand) for mail in found.mails],
        }
        if found.count is not None:
            body["@odata.count"] = found.count
        name, value = found.following
        if name:
            body["@odata.nextLink"] = next_link(self._world, call, value, name, drop=frozenset({"$skip"}))
        return Reply(200, body, applied(call))

    def get(self, call: Call) -> Reply:
        """Return one message."""
        view = view_for(call, mailbox_of(call))
        message = view.message(mail_of(call), expand=expander(call, view))
        return Reply(200, {"@odata.context": self._context(call, "messages/$entity"), **message}, applied(call))

    def mime(self, call: Call) -> Reply:
        """Return the mail's bytes."""
        return Reply(200, mail_of(call).source.raw(), {"content-type": "text/plain"})

    def update(self, call: Call) -> Reply:
        """Change a message's flags and extended properties, or the content of a draft."""
        mail, mailbox = mail_of(call), mailbox_of(call)
        body = call.fields(WRITTEN | FLAGS | READ_ONLY | {_PROPERTIES})
        written = {name: value for name, value in body.items() if name in WRITTEN}
        if refused := sorted(READ_ONLY & body.keys()) or (not mail.is_draft and sorted(written)):
            message = f"Set action is invalid for the property {refused[0]}."
            raise graph_error(400, "ErrorInvalidPropertySet", message)
        flags, fields = {**flags_of(body), **_extended(body, mail.properties)}, fields_of(written)
        if fields:
            before = fields_of_mail(mail.source) if mail.fields is None else mail.fields
            self._drafts.rewrite(mailbox, mail, {**before, **fields})
        if flags:
            mailbox.update(mail, flags)
        return self._answer(call, mail)

    def delete(self, call: Call) -> Reply:
        """Move a message to Deleted Items; from there delete it for good."""
        mail, mailbox = mail_of(call), mailbox_of(call)
        if mail.folder == mailbox.folder("deleteditems").id:
            mailbox.delete(mail)
        else:
            mailbox.trash(mail)
        return Reply(204)

    def erase(self, call: Call) -> Reply:
        """Delete a message for good."""
        mailbox_of(call).delete(mail_of(call))
        return Reply(204)

    def move(self, call: Call) -> Reply:
        """Move a message; the answer has its new default id."""
        mail = mail_of(call)
        mailbox_of(call).move(mail, _destination(call))
        return self._answer(call, mail, 201)

    def copy(self, call: Call) -> Reply:
        """Copy a message into a folder; the answer is the copy."""
        mail = mail_of(call)
        mailbox, target = mailbox_of(call), _destination(call)
        made = mailbox.deliver(
            mail.source, received_ms=mail.received_ms, folder=target, is_read=mail.is_read, like=mail
        )
        return self._answer(call, made, 201)

    def create(self, call: Call) -> Reply:
        """Keep a draft, given as JSON or as MIME."""
        mailbox = mailbox_of(call)
        if is_mime(call):
            return self._answer(call, mailbox.draft(self._drafts.from_mime(call), None), 201)
        message = _without_read_only(call.json_object())
        fields, flags = _written(message)
        mail = mailbox.draft(self._drafts.source(mailbox, fields, str(fields.get("messageId", ""))), fields)
        # Flags that a draft is made with are no change of their own.
        mailbox.mark(mail, {"isRead": True, **flags, **_extended(message, {})})
        return self._answer(call, mail, 201)

    def send(self, call: Call) -> Reply:
        """Send a draft."""
        self._drafts.send(call, mail_of(call))
        return Reply(202)

    def send_mail(self, call: Call) -> Reply:
        """Send a message in one call, given as JSON or as MIME."""
        if is_mime(call):
            self._drafts.send_now(call, self._drafts.from_mime(call), keeps_copy=True, flags={})
            return Reply(202)
        body = call.fields(("message", "saveToSentItems"), in_any_case=True)
        if not isinstance(body.get("message"), dict):
            raise graph_error(400, "ErrorInvalidRequest", "The parameter message is required.")
        message = _without_read_only(body["message"])
        fields, flags = _written(message)
        if not any(fields.get(name) for name in ("to", "cc", "bcc")):
            raise graph_error(400, "ErrorInvalidRecipients", "At least one recipient is required.")
        keeps_copy = True if body.get("saveToSentItems") is None else checked(body, "saveToSentItems", bool)
        source = self._drafts.source(mailbox_of(call), fields, str(fields.get("messageId", "")))
        flags |= _extended(message, {})
        self._drafts.send_now(call, source, keeps_copy=keeps_copy, flags=flags)
        return Reply(202)

    def translate(self, call: Call) -> Reply:
        """Translate default ids into immutable ones or back."""
        known = ("inputIds", "sourceIdType", "targetIdType")
        body, mailbox = call.fields(known, in_any_case=True), mailbox_of(call)
        is_immutable = body.get("targetIdType") == "restImmutableEntryId"
        found = []
        for given in body.get("inputIds", [])[:1000]:
            mail = find_mail(mailbox, given)
            found.append(
                {"sourceId": given, "targetId": mailbox.id_of(mail.serial, mail.moves, is_immutable=is_immutable)}
            )
        return Reply(200, {"value": found})

    def _answer(self, call: Call, mail: Any, status: int = 200) -> Reply:
        message = view_for(call, mailbox_of(call)).message(mail)
        return Reply(status, {"@odata.context": self._context(call, "messages/$entity"), **message}, applied(call))

    def _context(self, call: Call, what: str) -> str:
        user = call.account.id if call.account else "me"
        return f"{self._world.microsoft_url}{BASE}/$metadata#users('{user}')/{what}"


def _destination(call: Call) -> str:
    """Return the id of the folder that a message is to go to."""
    target = call.fields(("destinationId",), in_any_case=True).get("destinationId")
    if not isinstance(target, str) or not target:
        raise graph_error(400, "ErrorInvalidRequest", "destinationId is required.")
    try:
        return mailbox_of(call).folder(target).id
    except MailboxError as error:
        raise graph_error(404, "ErrorItemNotFound", "The destination folder was not found.") from error


def _without_read_only(message: JSON) -> JSON:
    """Return a new message's properties; Graph ignores the read-only ones."""
    known = known_fields(message, _CREATED | READ_ONLY, where="message")
    return {name: value for name, value in known.items() if name in _CREATED}


def _written(message: JSON) -> tuple[dict[str, Any], JSON]:
    """Return a new message's content and flags."""
    fields, flags = fields_of(message), flags_of(message)
    if message.get("attachments"):
        fields["attachments"] = [attachment_fields(one) for one in checked(message, "attachments", list)]
    if flags.get("importance", "normal") != "normal":
        fields["headers"] = {**(fields.get("headers") or {}), "Importance": flags["importance"]}
    return fields, flags


def _extended(message: JSON, present: dict[str, str]) -> JSON:
    """Return the extended properties with those of a message set, as :meth:`GraphMailbox.update` takes them."""
    if _PROPERTIES not in message:
        return {}
    given = [known_fields(one, ("id", "value"), where="extended property") for one in message[_PROPERTIES]]
    kept = {
        name: value
        for name, value in present.items()
        if property_key(name) not in {property_key(str(one["id"])) for one in given}
    }
    return {"properties": {**kept, **{str(one["id"]): str(one["value"]) for one in given}}}
