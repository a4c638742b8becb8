"""Replies and forwards: as drafts to go on with, and in one call."""

from collections.abc import Callable
from typing import Any

from simulator.http import JSON, Call, Operations, Reply, known_fields
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.attachments import attachment_fields
from simulator.microsoft.composing import forward, reply_to
from simulator.microsoft.drafts import FLAGS, READ_ONLY, WRITTEN, Drafts, checked, fields_of, flags_of, is_mime
from simulator.microsoft.errors import graph_error
from simulator.microsoft.graph import USER, WRITE, mailbox_of
from simulator.microsoft.items import mail_of
from simulator.microsoft.odata import applied, view_for
from simulator.state import World

_SEND = ("Mail.Send",)
_MESSAGE = WRITTEN | FLAGS | READ_ONLY | {"attachments"}


class Replies:
    """The actions ``createReply``, ``reply`` and their kin."""

    def __init__(self, world: World, drafts: Drafts) -> None:
        self._world = world
        self._drafts = drafts

    def register(self, operations: Operations) -> None:
        """Add the actions to the provider's table."""
        for path in (f"{USER}/messages/{{id}}", f"{USER}/mailFolders/{{folder}}/messages/{{id}}"):
            for action in ("reply", "replyAll", "forward"):
                create = f"create{action[0].upper()}{action[1:]}"
                name = {"replyAll": "reply_all"}.get(action, action)
                operations.add(
                    f"graph.messages.create_{name}", "POST", f"{path}/{create}", self._creates(action), scopes=WRITE
                )
                operations.add(f"graph.messages.{name}", "POST", f"{path}/{action}", self._sends(action), scopes=_SEND)

    def _creates(self, action: str) -> Callable[[Call], Reply]:
        def create(call: Call) -> Reply:
            message = view_for(call, mailbox_of(call)).message(self._draft(call, action))
            return Reply(201, message, applied(call))

        return create

    def _sends(self, action: str) -> Callable[[Call], Reply]:
        def send(call: Call) -> Reply:
            draft = self._draft(call, action)
            try:
                self._drafts.send(call, draft)
            except Exception:
                mailbox_of(call).delete(draft)
                raise
            return Reply(202)

        return send

    def _draft(self, call: Call, action: str) -> GraphMail:
        """Keep a draft as the body asks: MIME stands for itself, JSON changes what Exchange has prepared."""
        original, mailbox = mail_of(call), mailbox_of(call)
        if is_mime(call):
            return mailbox.draft(self._drafts.from_mime(call), None)
        body = call.fields(("comment", "message", "toRecipients"), in_any_case=True)
        message = known_fields(body.get("message") or {}, _MESSAGE, where="message")
        _check(action, body, message)
        comment = str(body.get("comment") or "")
        fields = {**self._prepared(call, original, action, comment), **_written(body, message)}
        draft = mailbox.draft(self._drafts.source(mailbox, fields, str(fields.get("messageId", ""))), fields)
        mailbox.mark(draft, {"isRead": True, **flags_of(message)})
        return draft

    def _prepared(self, call: Call, original: GraphMail, action: str, comment: str) -> dict[str, Any]:
        assert call.account is not None  # noqa: S101  the path names a user
        if action == "forward":
            knobs = self._world.knobs
            files_max = (knobs.graph_forward_attachments_max or None) if knobs.graph_forward_attachments else 0
            return forward(original, comment, files_max=files_max)
        return reply_to(original, call.account, comment, is_to_all=action == "replyAll")


def _check(action: str, body: JSON, message: JSON) -> None:
    if body.get("comment") is not None and message.get("body") is not None:
        raise graph_error(400, "ErrorInvalidRequest", "Specify either a comment or the body of the message.")
    if "toRecipients" in body and (action != "forward" or "toRecipients" in message):
        raise graph_error(400, "ErrorInvalidRequest", "Specify either toRecipients or those of the message.")


def _written(body: JSON, message: JSON) -> dict[str, Any]:
    """Return the fields that a body sets itself; a body of its own replaces the quote."""
    given = {**message, **({"toRecipients": body["toRecipients"]} if "toRecipients" in body else {})}
    fields = fields_of({name: value for name, value in given.items() if name not in READ_ONLY})
    if message.get("attachments"):
        fields["attachments"] = [attachment_fields(one) for one in checked(message, "attachments", list)]
    return fields
