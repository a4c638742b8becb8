"""Sending by Gmail: a draft with the send's header, which is then sent and thereby consumed.

The header is kept and cannot be searched. The mailbox's history since before the draft lists every message that was
added; their headers tell which of them is the send's.
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.answers import ReadMail, text_of
from services.processor.outbox.gmail_answers import GmailAnswers
from services.processor.outbox.identities import check_sender
from services.processor.outbox.mailbox import HistoryLostError, MailNotMadeError
from services.processor.outbox.mime import mime_of
from services.processor.outbox.received import GmailReceived
from services.processor.outbox.rows import File, Found, MailCopy, SendRow, State
from services.providers.marks import GMAIL_SEND
from services.providers.names import GOOGLEWS

_DELETED = 204
_PAGES_MAX = 20
_PAGE = 500
_HISTORY_PAGE = 100
_LOOK_SECONDS = 20.0
_UPLOAD_BYTES = 3_500_000
"""A larger mail is uploaded as bytes: Gmail refuses larger requests of JSON."""
_MAIL_BYTES = 36_700_160
"""The largest mail, by Gmail's discovery document."""
_DRAFT, _SENT = "DRAFT", "SENT"


class GmailOutbox:
    """One Google mailbox that sends; implements `SendingMailbox`.

    Args:
        access: The mailbox's access to Gmail.
        base_url: The base URL of Gmail's API, with its version.
        read: Reads Gmail's object as a mail.
        look_seconds: The time after which a search stops at the end of a page of the history.
    """

    def __init__(
        self, access: MailboxAccess, base_url: str, read: ReadMail, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self._access = access
        self._base = f"{base_url}/users/me"
        self._upload = f"{base_url.replace('/gmail/', '/upload/gmail/', 1)}/users/me"
        self._answers = GmailAnswers(access, self._base, read)
        self._received = GmailReceived(access, self._base)
        self._read = read
        self._look_seconds = look_seconds

    async def anchor(self) -> str:
        """See `SendingMailbox.anchor`: the mailbox's present history id."""
        return _required(await self._access.call("send_profile", f"{self._base}/profile"), "historyId")

    async def find(self, row: SendRow) -> Found:
        """See `SendingMailbox.find`. A draft's copy has the draft's id, which is not the id of its message."""
        named = await self._copy(row.message_id, row.send_id) if row.message_id else None
        if named is not None and not named.is_draft:
            return Found([named], row.history_anchor)
        sent = await self._added(row, _SENT)
        if sent.copies or not sent.is_complete:
            return sent
        if row.draft_id and await self._has_draft(row.draft_id):
            return replace(sent, copies=[MailCopy(row.draft_id, is_draft=True)])
        if row.draft_id and row.state is State.SENDING:
            return sent  # no other draft is ever submitted
        messages = {copy.message_id for copy in (await self._added(row, _DRAFT)).copies}
        return replace(sent, copies=await self._drafts_of(messages) if messages else [])

    async def received(self, wanted: pb2.SendAttachment, most_bytes: int) -> File:
        """See `SendingMailbox.received`."""
        return await self._received.read(wanted, most_bytes)

    async def draft(self, row: SendRow, files: Sequence[File] = ()) -> str:
        """See `SendingMailbox.draft`."""
        if row.content.HasField("from_address"):
            await check_sender(self._access, self._base, row.content.from_address.address)
        raw, thread_id = await self._answers.write(row, files) if row.original_id else (await self._new(row, files), "")
        if len(raw) > _UPLOAD_BYTES:
            return await self._uploaded(raw, thread_id)
        message = {"raw": base64.urlsafe_b64encode(raw).decode(), **({"threadId": thread_id} if thread_id else {})}
        made = await self._access.call("send_draft", f"{self._base}/drafts", method="POST", body={"message": message})
        return _required(made, "id")

    async def _new(self, row: SendRow, files: Sequence[File]) -> bytes:
        """Return a new mail as MIME, with a text made from its HTML where it has none."""
        mail = pb2.NewMail()
        mail.CopyFrom(row.mail)
        mail.text = mail.text or await text_of(self._read, mail.html)
        return await asyncio.to_thread(mime_of, row, mail, (), files)

    async def _uploaded(self, raw: bytes, thread_id: str) -> str:
        """Make a draft of a large mail; of the ways of uploading, only this one takes a thread's id."""
        if len(raw) > _MAIL_BYTES:
            raise MailNotMadeError(f"the mail is larger than the {_MAIL_BYTES} bytes that Gmail takes")
        boundary = f"mailmesh-{secrets.token_hex(16)}"
        head = json.dumps({"message": {"threadId": thread_id} if thread_id else {}})
        content = b"".join(
            [
                f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{head}\r\n".encode(),
                f"--{boundary}\r\nContent-Type: message/rfc822\r\n\r\n".encode(),
                raw,
                f"\r\n--{boundary}--\r\n".encode(),
            ]
        )
        made = await self._access.call(
            "send_draft", f"{self._upload}/drafts", method="POST", params={"uploadType": "multipart"},
            headers={"content-type": f"multipart/related; boundary={boundary}"}, content=content,
        )  # fmt: skip
        return _required(made, "id")

    async def address(self, row: SendRow) -> pb2.NewMail:
        """See `SendingMailbox.address`."""
        return await self._answers.address(row)

    async def submit(self, row: SendRow) -> str:
        """See `SendingMailbox.submit`. The answer names the sent mail, without the Message-ID that Gmail stamps."""
        sent = await self._access.call(
            "send", f"{self._base}/drafts/send", method="POST", body={"id": row.draft_id}, success=200
        )
        return _required(sent, "id")  # an answer without it is a doubt: the mail is looked up

    async def discard(self, message_id: str) -> None:
        """See `SendingMailbox.discard`."""
        url = f"{self._base}/drafts/{quote(message_id, safe='')}"
        try:
            await self._access.call("send_discard", url, method="DELETE", success=_DELETED)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise

    async def _has_draft(self, draft_id: str) -> bool:
        url = f"{self._base}/drafts/{quote(draft_id, safe='')}"
        try:
            await self._access.call("send_copy", url, params={"format": "minimal"})
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            return False
        return True

    async def _drafts_of(self, message_ids: set[str]) -> list[MailCopy]:
        """Return the drafts whose messages have these ids."""
        found: list[MailCopy] = []
        params: dict[str, Any] = {"maxResults": str(_PAGE)}
        for _ in range(_PAGES_MAX):
            page = await self._access.call("send_find", f"{self._base}/drafts", params=params)
            found += [
                MailCopy(_required(draft, "id"), is_draft=True)
                for draft in _entries(page, "drafts")
                if str(draft.get("message", {}).get("id")) in message_ids
            ]
            if not page.get("nextPageToken"):
                return found
            params["pageToken"] = str(page["nextPageToken"])
        raise classify(GOOGLEWS, 0, ["too_many_drafts"])

    async def _added(self, row: SendRow, label: str) -> Found:
        """Look for the send's messages among those that got a label since the anchor, for a bounded time.

        Whether a sent draft becomes another message or gets another label is not documented, so both are read. The
        anchor follows the records that were read, in their order, and never the answer's own history id: a history
        that lags answers a newer id without the record that led to it.
        """
        found, until = Found([], row.history_anchor), time.monotonic() + self._look_seconds
        params: dict[str, Any] = {
            "startHistoryId": row.history_anchor, "historyTypes": ["messageAdded", "labelAdded"], "labelId": label,
            "maxResults": str(_HISTORY_PAGE),
        }  # fmt: skip
        while True:
            page = await self._history(params)
            records = _entries(page, "history")
            copies = [copy for copy in await self._copies(records, row.send_id) if copy.is_draft == (label == _DRAFT)]
            found = replace(found, copies=[*found.copies, *copies])
            if found.copies and label == _SENT:
                return found
            if records:
                found = replace(found, anchor=_required(records[-1], "id"))
            if not page.get("nextPageToken"):
                return found
            if time.monotonic() > until:  # after a page, so that each look-up makes progress
                return replace(found, is_complete=False)
            params["pageToken"] = str(page["nextPageToken"])

    async def _history(self, params: dict[str, Any]) -> JSON:
        try:
            return await self._access.call("send_history", f"{self._base}/history", params=params)
        except SourceError as exc:
            if exc.remedy in (Remedy.MISSING, Remedy.CURSOR_LOST):
                raise HistoryLostError(exc) from exc
            raise

    async def _copies(self, records: Sequence[JSON], send_id: str) -> list[MailCopy]:
        """Return those messages of records that are the send's."""
        listed = (_entries(record, name) for record in records for name in ("messagesAdded", "labelsAdded"))
        ids = dict.fromkeys(str(added.get("message", {}).get("id")) for entries in listed for added in entries)
        copies = [await self._copy(message_id, send_id) for message_id in ids]
        return [copy for copy in copies if copy is not None]

    async def _copy(self, message_id: str, send_id: str) -> MailCopy | None:
        """Return a message if it has the send's header; None when it has not, or is gone."""
        url = f"{self._base}/messages/{quote(message_id, safe='')}"
        params = {"format": "metadata", "metadataHeaders": [GMAIL_SEND, "Message-ID"]}
        try:
            found = await self._access.call("send_copy", url, params=params)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            return None
        if _headers(found, GMAIL_SEND) != [send_id]:  # a second mark is not ours
            return None
        is_draft = _DRAFT in (found.get("labelIds") or ())
        stamped = next(iter(_headers(found, "Message-ID")), "")
        return MailCopy(message_id, is_draft, stamped, str(found.get("threadId") or ""))


def _headers(message: JSON, name: str) -> list[str]:
    """Return the values of a header, in order."""
    payload = message.get("payload")
    fields = payload.get("headers") if isinstance(payload, dict) else None
    found = [field for field in fields or () if isinstance(field, dict)]
    values = [field.get("value") for field in found if str(field.get("name")).lower() == name.lower()]
    return [_text(str(value)).strip() for value in values]


def _entries(holder: JSON, name: str) -> list[JSON]:
    listed = holder.get(name) or []
    if not isinstance(listed, list):
        raise classify(GOOGLEWS, 0, ["list_without_entries"])
    return [entry for entry in listed if isinstance(entry, dict)]


def _required(answer: JSON, name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str | int) or not value:
        raise classify(GOOGLEWS, 0, [f"answer_without_{name.lower()}"])
    return str(value)


def _text(value: Any) -> str:
    return value[:998].replace("\0", "") if isinstance(value, str) else ""
