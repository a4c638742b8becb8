"""Answers and forwards at Microsoft Graph: Exchange prepares the draft with its thread, its quote and its files.

Graph takes the mark by a change of the draft only, so that a crash in between leaves an unmarked draft. It carries the
send's header from the beginning: such a spare is deleted and never submitted. One change gives the draft its content
and its mark, so that a draft with the mark is complete.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.identities import GRAPH_PROFILE, graph_identities
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.answers import GONE, ReadMail, addressed
from services.processor.outbox.graph_fields import (
    IMMUTABLE,
    headers_of,
    list_of,
    people,
    required_id,
    sender_of,
)
from services.processor.outbox.graph_files import GraphFiles
from services.processor.outbox.mailbox import MailNotMadeError
from services.processor.outbox.quoting import inserted, own_html
from services.processor.outbox.rows import File, MailCopy, SendRow
from services.providers.marks import GMAIL_SEND, GRAPH_SEND
from services.providers.names import MS365

_MARKS = ("RE:", "FW:")
_ORIGINAL = "id,isDraft,subject,from,replyTo,toRecipients,ccRecipients,internetMessageId"
_SPARES_MAX = 50
_CREATED, _CHANGED = 201, 200
_PAGES_MAX = 50
_FILES = "id,name,size,isInline"


class GraphAnswers:
    """Makes the drafts of answers and forwards of one Microsoft mailbox.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
        read: Reads Graph's object as a mail.
    """

    def __init__(self, access: MailboxAccess, base_url: str, read: ReadMail) -> None:
        self._access = access
        self._me = f"{base_url}/me"
        self._read = read
        self._files = GraphFiles(access, base_url)

    async def address(self, row: SendRow) -> pb2.NewMail:
        """See `SendingMailbox.address`."""
        original: message_pb2.MailMessage = await self._read(MS365, await self._original(row, _ORIGINAL))
        return addressed(row.content, original, await self._own(), _MARKS)

    async def draft(self, row: SendRow, files: Sequence[File]) -> str:
        """See `SendingMailbox.draft`. The recipients are ours: what the provider has prepared is replaced."""
        reply, is_forward = row.content.reply, row.content.HasField("forward")
        action = "createForward" if is_forward else "createReplyAll" if reply.to_all else "createReply"
        headers = [{"name": GMAIL_SEND, "value": row.send_id}, *headers_of(row.content)]
        made = await self._call(
            "send_draft", "POST", f"{self._message(row.original_id)}/{action}", _CREATED,
            {"message": {"internetMessageHeaders": headers}},
        )  # fmt: skip
        draft_id = required_id(made)
        if is_forward:
            await self._check_files(row, draft_id)
        await self._files.add(draft_id, files)
        await self._call("send_draft_content", "PATCH", self._message(draft_id), _CHANGED, _content(row, made))
        return draft_id

    async def spares(self, row: SendRow) -> list[MailCopy]:
        """Return the drafts of a send that were not completed."""
        try:
            conversation = (await self._original(row, "conversationId")).get("conversationId")
        except MailNotMadeError:
            return []
        if not isinstance(conversation, str) or not conversation:
            return []
        condition = conversation.replace("'", "''")
        params = {
            "$filter": f"conversationId eq '{condition}'",
            "$select": "id,isDraft,internetMessageHeaders",
            "$expand": f"singleValueExtendedProperties($filter=id eq '{GRAPH_SEND}')",
            "$top": str(_SPARES_MAX),
        }
        url = f"{self._me}/mailFolders/drafts/messages"
        listed = await self._access.call("send_find", url, headers=IMMUTABLE, params=params)
        return [
            MailCopy(required_id(entry), is_draft=True, is_spare=True)
            for entry in list_of(listed)
            if entry.get("isDraft") is True and _has_header(entry, row.send_id) and not _has_mark(entry)
        ]

    async def _original(self, row: SendRow, fields: str) -> JSON:
        url = self._message(row.original_id)
        try:
            return await self._access.call("send_original", url, headers=IMMUTABLE, params={"$select": fields})
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            raise MailNotMadeError(GONE) from exc

    async def _own(self) -> list[str]:
        """Return the account's addresses: its names, and the addresses under which Exchange delivers to it."""
        me = await self._access.call("send_profile", self._me, params={"$select": GRAPH_PROFILE})
        return [one.address for one in graph_identities(me)]

    async def _check_files(self, row: SendRow, draft_id: str) -> None:
        """Refuse a forward whose draft has fewer files than its original: it is not documented that it has all."""
        if await self._file_count(draft_id) < await self._file_count(row.original_id):
            raise MailNotMadeError("Exchange has prepared the forward without all attachments of its original")

    async def _file_count(self, message_id: str) -> int:
        """Count the attachments of a message, on all pages of their list."""
        count, url = 0, f"{self._message(message_id)}/attachments"
        params: JSON | None = {"$select": _FILES}
        for _ in range(_PAGES_MAX):
            page = await self._access.call("send_files", url, headers=IMMUTABLE, params=params)
            count += len(list_of(page))
            url, params = str(page.get("@odata.nextLink") or ""), None  # the link has the selection
            if not url:
                return count
        raise MailNotMadeError("the mail has more attachments than a forward can be checked for")

    async def _call(self, operation: str, method: str, url: str, success: int, body: JSON) -> JSON:
        return await self._access.call(operation, url, method=method, headers=IMMUTABLE, body=body, success=success)

    def _message(self, message_id: str) -> str:
        return f"{self._me}/messages/{quote(message_id, safe='')}"


def _content(row: SendRow, prepared: JSON) -> JSON:
    """Return the change that completes a draft: recipients, the caller's text above the quote, and the mark."""
    mail, body = row.mail, prepared.get("body")
    if not isinstance(body, dict) or not isinstance(body.get("content"), str):
        raise classify(MS365, 0, ["draft_without_body"])
    is_html = str(body.get("contentType")).lower() == "html"
    content = inserted(own_html(mail), body["content"]) if is_html else f"{mail.text}\n\n{body['content']}"
    return {
        "body": {"contentType": "html" if is_html else "text", "content": content},
        "toRecipients": people(mail.to),
        "ccRecipients": people(mail.cc),
        "bccRecipients": people(mail.bcc),
        **sender_of(row.content),
        "singleValueExtendedProperties": [{"id": GRAPH_SEND, "value": row.send_id}],
    }


def _has_header(entry: JSON, send_id: str) -> bool:
    headers: Any = entry.get("internetMessageHeaders")
    found = [one for one in headers or () if isinstance(one, dict)]
    return any(str(one.get("name")).lower() == GMAIL_SEND.lower() and one.get("value") == send_id for one in found)


def _has_mark(entry: JSON) -> bool:
    return bool(entry.get("singleValueExtendedProperties"))
