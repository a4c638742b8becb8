"""Sending by Microsoft Graph: a draft with the send's mark, which is then submitted.

The way by a draft gives ids before the mail is submitted, and a second submission of a draft that is gone is refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.answers import ReadMail
from services.processor.outbox.graph_answers import GraphAnswers
from services.processor.outbox.graph_fields import (
    IMMUTABLE,
    headers_of,
    list_of,
    people,
    required_id,
    sender_of,
)
from services.processor.outbox.graph_files import GraphFiles
from services.processor.outbox.received import GraphReceived
from services.processor.outbox.rows import File, Found, MailCopy, SendRow
from services.providers.marks import GRAPH_SEND
from services.providers.names import MS365

_FIELDS = "id,isDraft,internetMessageId,conversationId"
_COPIES_MAX = 20
_INCOMPLETE = ":incomplete"
"""The end of the mark of a draft whose files are being added."""
_ACCEPTED, _CREATED, _DELETED = 202, 201, 204


class GraphOutbox:
    """One Microsoft mailbox that sends; implements `SendingMailbox`.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
        read: Reads Graph's object as a mail.
    """

    def __init__(self, access: MailboxAccess, base_url: str, read: ReadMail) -> None:
        self._access = access
        self._base = base_url
        self._answers = GraphAnswers(access, base_url, read)
        self._files = GraphFiles(access, base_url)
        self._received = GraphReceived(access, base_url)

    async def anchor(self) -> str:
        """See `SendingMailbox.anchor`: the mark is found without."""
        return ""

    async def find(self, row: SendRow) -> Found:
        """See `SendingMailbox.find`: by the draft's id, which may or may not lead to the sent copy, and by the mark."""
        by_id = await self._by_id(row.draft_id) if row.draft_id else None
        if by_id is not None and not by_id.is_draft:
            return Found([by_id])
        marked = await self._marked(row.send_id)
        if by_id is not None and by_id.message_id not in {copy.message_id for copy in marked}:
            marked = [*marked, by_id]
        if row.content.attachments and not row.draft_id:
            spares = await self._marked(f"{row.send_id}{_INCOMPLETE}")
            marked = [*marked, *(replace(one, is_spare=True) for one in spares if one.is_draft)]
        if row.original_id and not row.draft_id:
            marked = [*marked, *await self._answers.spares(row)]
        return Found(marked)

    async def address(self, row: SendRow) -> pb2.NewMail:
        """See `SendingMailbox.address`."""
        return await self._answers.address(row)

    async def received(self, wanted: pb2.SendAttachment, most_bytes: int) -> File:
        """See `SendingMailbox.received`."""
        return await self._received.read(wanted, most_bytes)

    async def draft(self, row: SendRow, files: Sequence[File] = ()) -> str:
        """See `SendingMailbox.draft`."""
        if row.original_id:
            return await self._answers.draft(row, files)
        made = await self._access.call(
            "send_draft",
            f"{self._base}/me/messages",
            method="POST",
            headers=IMMUTABLE,
            body=draft_of(row, f"{row.send_id}{_INCOMPLETE if files else ''}"),
            success=_CREATED,
        )
        if files:
            await self._complete(row, required_id(made), files)
        return required_id(made)

    async def _complete(self, row: SendRow, draft_id: str, files: Sequence[File]) -> None:
        """Add the files to a draft, and the mark at the end: a draft that has it is complete."""
        url = f"{self._base}/me/messages/{quote(draft_id, safe='')}"
        await self._files.add(draft_id, files)
        mark = {"singleValueExtendedProperties": [{"id": GRAPH_SEND, "value": row.send_id}]}
        await self._access.call("send_draft_content", url, method="PATCH", headers=IMMUTABLE, body=mark, success=200)

    async def submit(self, row: SendRow) -> str:
        """See `SendingMailbox.submit`. Only 202 is a success, with or without `Retry-After`."""
        url = f"{self._base}/me/messages/{quote(row.draft_id, safe='')}/send"
        await self._access.call("send", url, method="POST", headers=IMMUTABLE, success=_ACCEPTED)
        return ""

    async def discard(self, message_id: str) -> None:
        """See `SendingMailbox.discard`."""
        url = f"{self._base}/me/messages/{quote(message_id, safe='')}/permanentDelete"
        try:
            await self._access.call("send_discard", url, method="POST", headers=IMMUTABLE, success=_DELETED)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise

    async def _by_id(self, message_id: str) -> MailCopy | None:
        url = f"{self._base}/me/messages/{quote(message_id, safe='')}"
        try:
            found = await self._access.call("send_copy", url, headers=IMMUTABLE, params={"$select": _FIELDS})
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            return None
        return _copy(found)

    async def _marked(self, send_id: str) -> list[MailCopy]:
        condition = f"ep/id eq '{GRAPH_SEND}' and ep/value eq '{send_id}'"
        params = {
            "$filter": f"singleValueExtendedProperties/Any(ep: {condition})",
            "$select": _FIELDS,
            "$top": str(_COPIES_MAX),
        }
        answer = await self._access.call("send_find", f"{self._base}/me/messages", headers=IMMUTABLE, params=params)
        return [_copy(entry) for entry in list_of(answer)]


def draft_of(row: SendRow, mark: str) -> JSON:
    """Return the draft of a send as Graph takes it, under a mark."""
    mail = row.mail
    body = {"contentType": "html", "content": mail.html} if mail.html else {"contentType": "text", "content": mail.text}
    return {
        "subject": mail.subject,
        "body": body,
        "toRecipients": people(mail.to),
        "ccRecipients": people(mail.cc),
        "bccRecipients": people(mail.bcc),
        "singleValueExtendedProperties": [{"id": GRAPH_SEND, "value": mark}],
        **sender_of(row.content),
        **({"internetMessageHeaders": headers_of(row.content)} if row.content.headers else {}),
    }


def _copy(entry: JSON) -> MailCopy:
    message_id, is_draft = entry.get("id"), entry.get("isDraft")
    if not isinstance(message_id, str) or not isinstance(is_draft, bool):
        raise classify(MS365, 0, ["copy_without_state"])
    return MailCopy(message_id, is_draft, _text(entry.get("internetMessageId")), _text(entry.get("conversationId")))


def _text(value: Any) -> str:
    return value[:998].replace("\0", "") if isinstance(value, str) else ""
