"""Sending by Gmail: a draft with the send's header, which is then sent and thereby consumed.

The header is kept and cannot be searched. The mailbox's history since before the draft lists every message that was
added; their headers tell which of them is the send's.
"""

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.mime import mime_of
from services.processor.outbox.rows import MailCopy, SendRow
from services.providers.marks import GMAIL_SEND
from services.providers.names import GOOGLEWS

_DELETED = 204
_PAGES_MAX = 20
_PAGE = 500
_CANDIDATES_MAX = 200
_DRAFT, _SENT = "DRAFT", "SENT"


class GmailOutbox:
    """One Google mailbox that sends; implements `SendingMailbox`.

    Args:
        access: The mailbox's access to Gmail.
        base_url: The base URL of Gmail's API, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = f"{base_url}/users/me"

    async def anchor(self) -> str:
        """See `SendingMailbox.anchor`: the mailbox's present history id."""
        return _required(await self._access.call("send_profile", f"{self._base}/profile"), "historyId")

    async def find(self, row: SendRow) -> Sequence[MailCopy]:
        """See `SendingMailbox.find`. A draft's copy has the draft's id, which is not the id of its message."""
        sent = await self._added(row, _SENT)
        if sent:
            return sent
        if row.draft_id:
            return [MailCopy(row.draft_id, is_draft=True)] if await self._has_draft(row.draft_id) else []
        messages = {copy.message_id for copy in await self._added(row, _DRAFT)}
        return await self._drafts_of(messages) if messages else []

    async def draft(self, row: SendRow) -> str:
        """See `SendingMailbox.draft`."""
        raw = base64.urlsafe_b64encode(mime_of(row)).decode()
        made = await self._access.call(
            "send_draft", f"{self._base}/drafts", method="POST", body={"message": {"raw": raw}}
        )
        return _required(made, "id")

    async def submit(self, row: SendRow) -> MailCopy | None:
        """See `SendingMailbox.submit`. The answer names the sent mail; Gmail stamps its Message-ID."""
        sent = await self._access.call(
            "send", f"{self._base}/drafts/send", method="POST", body={"id": row.draft_id}, success=200
        )
        message_id = sent.get("id")
        if not isinstance(message_id, str) or not message_id:
            return None
        try:
            return await self._copy(message_id, row.send_id)
        except SourceError:  # it is sent; the ids are looked up like those of any accepted mail
            return None

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

    async def _added(self, row: SendRow, label: str) -> list[MailCopy]:
        """Return the send's messages among those that got a label since the anchor.

        Whether a sent draft becomes another message or gets another label is not documented, so both are read.
        """
        ids: dict[str, None] = {}
        params: dict[str, Any] = {
            "startHistoryId": row.history_anchor, "historyTypes": ["messageAdded", "labelAdded"], "labelId": label,
            "maxResults": str(_PAGE),
        }  # fmt: skip
        for _ in range(_PAGES_MAX):
            page = await self._access.call("send_history", f"{self._base}/history", params=params)
            for record in _entries(page, "history"):
                for added in (*_entries(record, "messagesAdded"), *_entries(record, "labelsAdded")):
                    ids[str(added.get("message", {}).get("id"))] = None
            if not page.get("nextPageToken"):
                break
            params["pageToken"] = str(page["nextPageToken"])
        else:
            raise classify(GOOGLEWS, 0, ["history_too_long"])
        if len(ids) > _CANDIDATES_MAX:
            raise classify(GOOGLEWS, 0, ["too_many_candidates"])
        copies = [await self._copy(message_id, row.send_id) for message_id in ids]
        return [copy for copy in copies if copy is not None and copy.is_draft == (label == _DRAFT)]

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
    return [str(value)[:998].replace("\0", "").strip() for value in values]


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
