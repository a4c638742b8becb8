"""Sending by Microsoft Graph: a draft with the send's mark, which is then submitted.

The way by a draft gives ids before the mail is submitted, and a second submission of a draft that is gone is refused.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.rows import Found, MailCopy, SendRow
from services.providers.marks import GRAPH_SEND
from services.providers.names import MS365

_IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
_FIELDS = "id,isDraft,internetMessageId,conversationId"
_COPIES_MAX = 20
_ACCEPTED, _CREATED, _DELETED = 202, 201, 204


class GraphOutbox:
    """One Microsoft mailbox that sends; implements `SendingMailbox`.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url

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
            return Found([*marked, by_id])
        return Found(marked)

    async def draft(self, row: SendRow) -> str:
        """See `SendingMailbox.draft`."""
        made = await self._access.call(
            "send_draft",
            f"{self._base}/me/messages",
            method="POST",
            headers=_IMMUTABLE,
            body=draft_of(row),
            success=_CREATED,
        )
        draft_id = made.get("id")
        if not isinstance(draft_id, str) or not draft_id:
            raise classify(MS365, 0, ["draft_without_id"])
        return draft_id

    async def submit(self, row: SendRow) -> str:
        """See `SendingMailbox.submit`. Only 202 is a success, with or without `Retry-After`."""
        url = f"{self._base}/me/messages/{quote(row.draft_id, safe='')}/send"
        await self._access.call("send", url, method="POST", headers=_IMMUTABLE, success=_ACCEPTED)
        return ""

    async def discard(self, message_id: str) -> None:
        """See `SendingMailbox.discard`."""
        url = f"{self._base}/me/messages/{quote(message_id, safe='')}/permanentDelete"
        try:
            await self._access.call("send_discard", url, method="POST", headers=_IMMUTABLE, success=_DELETED)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise

    async def _by_id(self, message_id: str) -> MailCopy | None:
        url = f"{self._base}/me/messages/{quote(message_id, safe='')}"
        try:
            found = await self._access.call("send_copy", url, headers=_IMMUTABLE, params={"$select": _FIELDS})
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
        answer = await self._access.call("send_find", f"{self._base}/me/messages", headers=_IMMUTABLE, params=params)
        entries = answer.get("value")
        if not isinstance(entries, list):
            raise classify(MS365, 0, ["list_without_value"])
        return [copy for entry in entries if isinstance(entry, dict) and (copy := _copy(entry)) is not None]


def draft_of(row: SendRow) -> JSON:
    """Return the draft of a send as Graph takes it."""
    mail = row.content.mail
    body = {"contentType": "html", "content": mail.html} if mail.html else {"contentType": "text", "content": mail.text}
    return {
        "subject": mail.subject,
        "body": body,
        "toRecipients": _people(mail.to),
        "ccRecipients": _people(mail.cc),
        "bccRecipients": _people(mail.bcc),
        "singleValueExtendedProperties": [{"id": GRAPH_SEND, "value": row.send_id}],
    }


def _people(recipients: Iterable[pb2.Recipient]) -> list[JSON]:
    return [
        {"emailAddress": {"address": one.address, **({"name": one.name} if one.name else {})}} for one in recipients
    ]


def _copy(entry: JSON) -> MailCopy | None:
    message_id, is_draft = entry.get("id"), entry.get("isDraft")
    if not isinstance(message_id, str) or not isinstance(is_draft, bool):
        raise classify(MS365, 0, ["copy_without_state"])
    return MailCopy(message_id, is_draft, _text(entry.get("internetMessageId")), _text(entry.get("conversationId")))


def _text(value: Any) -> str:
    return value[:998].replace("\0", "") if isinstance(value, str) else ""
