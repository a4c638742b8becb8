"""Answers and forwards at Gmail: the whole mail is written here, threading headers and quote included."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.parsing import decode_content
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.answers import GONE, ReadMail, addressed, references, text_of
from services.processor.outbox.identities import verified
from services.processor.outbox.mailbox import MailNotMadeError
from services.processor.outbox.mime import WHOLE_MAIL, mime_of, without_private_fields
from services.processor.outbox.quoting import with_html_quote, with_text_quote
from services.processor.outbox.rows import File, SendRow
from services.providers.names import GOOGLEWS

_MARKS = ("Re:", "Fwd:")
_FILES_MAX = 100
_FILES_BYTES = 25 * 1024 * 1024


class GmailAnswers:
    """Writes the answers and forwards of one Google mailbox.

    Args:
        access: The mailbox's access to Gmail.
        base: The URL of the user.
        read: Reads Gmail's object as a mail.
    """

    def __init__(self, access: MailboxAccess, base: str, read: ReadMail) -> None:
        self._access = access
        self._base = base
        self._read = read

    async def address(self, row: SendRow) -> pb2.NewMail:
        """See `SendingMailbox.address`."""
        original, _ = await self._original(row.original_id)
        return addressed(row.content, original, await self._own(), _MARKS)

    async def write(self, row: SendRow, attached: Sequence[File]) -> tuple[bytes, str]:
        """Return the mail as MIME and the id of the thread that it joins: a forward joins none.

        Raises:
            MailNotMadeError: The original is gone, or too large to be forwarded.
            SourceError: Any other failure, classified by the table of failures.
        """
        original, raw = await self._original(row.original_id)
        is_forward = row.content.HasField("forward")
        mail = pb2.NewMail()
        mail.CopyFrom(row.mail)
        html = with_html_quote(mail, original, is_forward=is_forward)
        mail.text = mail.text or await text_of(self._read, mail.html)
        mail.text, mail.html = with_text_quote(mail, original, is_forward=is_forward), html
        files = await self._files(row.original_id, original, raw) if is_forward else []
        ids = [] if is_forward else references(original)
        made = await asyncio.to_thread(mime_of, row, mail, ids, [*attached, *files])
        return made, "" if is_forward else str(raw.get("threadId") or "")

    async def _original(self, message_id: str) -> tuple[message_pb2.MailMessage, JSON]:
        raw = await self._get(f"{self._base}/messages/{quote(message_id, safe='')}", format="full")
        return await self._read(GOOGLEWS, raw), raw

    async def _own(self) -> list[str]:
        """Return the account's addresses: those that it may send from are its own."""
        profile = await self._access.call("send_profile", f"{self._base}/profile")
        return [str(profile.get("emailAddress") or ""), *await verified(self._access, self._base)]

    async def _files(self, message_id: str, original: message_pb2.MailMessage, raw: JSON) -> list[File]:
        """Return the original's attachments; the whole original as one where Gmail does not give each of them.

        Gmail gives a small part in the message, without an attachment id. The whole original is the last resort: of
        the account's own mail it names the blind recipients, and the recipients of the forward are not to see them.
        """
        known = list(original.attachments)
        if sum(one.size_bytes for one in known) > _FILES_BYTES or len(known) > _FILES_MAX:
            raise MailNotMadeError("the mail that is forwarded has too many or too large attachments")
        given = _given(raw)
        if any(
            one.kind != message_pb2.ATTACHMENT_KIND_FILE
            or not (one.attachment_id or one.part_id in given or not one.size_bytes)
            for one in known
        ):
            return [File("forwarded.eml", WHOLE_MAIL, without_private_fields(await self._whole(message_id)))]
        return [
            File(one.name, one.content_type, await self._content(message_id, one, given), one.content_id)
            for one in known
        ]

    async def _content(self, message_id: str, part: message_pb2.Attachment, given: Mapping[str, str]) -> bytes:
        if not part.attachment_id:
            return await _bytes(given.get(part.part_id, ""))
        url = f"{self._base}/messages/{quote(message_id, safe='')}/attachments/{quote(part.attachment_id, safe='')}"
        return await _bytes((await self._get(url)).get("data"))

    async def _whole(self, message_id: str) -> bytes:
        raw = await self._get(f"{self._base}/messages/{quote(message_id, safe='')}", format="raw")
        return await _bytes(raw.get("raw"))

    async def _get(self, url: str, **params: str) -> JSON:
        try:
            return await self._access.call("send_original", url, params=params)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            raise MailNotMadeError(GONE) from exc


def _given(raw: JSON) -> dict[str, str]:
    """Return the contents that a message has itself, as base64url, by the ids of their parts."""
    found: dict[str, str] = {}
    left = [raw.get("payload")]
    while left:
        part = left.pop()
        if not isinstance(part, dict):
            continue
        body, inner = part.get("body"), part.get("parts")
        data = body.get("data") if isinstance(body, dict) else None
        if isinstance(data, str) and data:
            found[str(part.get("partId") or "root")] = data
        left += inner if isinstance(inner, list) else []
    return found


async def _bytes(data: Any) -> bytes:
    """Decode Gmail's base64url, which comes with and without padding."""
    try:
        found = await decode_content(data if isinstance(data, str) else "?")
    except ValueError as exc:
        raise classify(GOOGLEWS, 0, ["content_is_no_base64"]) from exc
    if len(found) > _FILES_BYTES:
        raise MailNotMadeError("the mail that is forwarded has too large attachments")
    return found
