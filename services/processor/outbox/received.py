"""Attachments that a mail takes from received mails: read when the mail is written, piece by piece, within a bound.

An attachment is named by what stays: its id at Microsoft, the id of its part at Google, whose attachment ids live
shortly.
"""

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.decoding import NotDecodableError, decoded
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.gmail_parts import part_of
from services.processor.mailbox.graph_items import kind_of_item
from services.processor.mailbox.parsing import decode_content
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.graph_fields import IMMUTABLE, list_of
from services.processor.outbox.mailbox import MailNotMadeError
from services.processor.outbox.mime import media_type
from services.processor.outbox.rows import File
from services.providers.names import GOOGLEWS, MS365

ATTACHMENT_GONE: Final = "ATTACHMENT_GONE"
_GONE: Final = "an attachment of a received mail, or the mail, is not in the mailbox any more"
_TOO_LARGE: Final = "the attachments of the mail are too large together"
_LINK: Final = "a link to a file cannot be attached: its content is not in the mailbox"
_PAGES_MAX: Final = 20


class GraphReceived:
    """The attachments of the mails of one Microsoft mailbox.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = f"{base_url}/me/messages"

    async def read(self, wanted: pb2.SendAttachment, most_bytes: int) -> File:
        """Read an attachment. Safe to call again.

        Args:
            wanted: The attachment, which names a received one.
            most_bytes: The bytes that the mail has room for.

        Raises:
            MailNotMadeError: The attachment is gone, is a link, or is too large.
            SourceError: Any other failure, classified by the table of failures.
        """
        source = wanted.received
        listed = f"{self._base}/{quote(source.message_id, safe='')}/attachments"
        url = f"{listed}/{quote(source.attachment_id, safe='')}"
        try:
            found = await self._access.call(
                "send_received", url, headers=IMMUTABLE, params={"$select": "name,contentType"}
            )
            kind = str(found.get("@odata.type") or "").rpartition(".")[2].lower()
            if kind == "referenceattachment":
                raise MailNotMadeError(_LINK)
            async with self._access.stream("send_received_content", f"{url}/$value", headers=IMMUTABLE) as answer:
                content = await _collected(answer.pieces, most_bytes)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            await self._check_gone(listed, source.attachment_id)
            raise
        name, given = str(found.get("name") or ""), str(found.get("contentType") or "")
        if kind == "itemattachment":
            ending, given = kind_of_item(content)
            return File(f"{name}.{ending}", given, content, wanted.content_id)
        return File(name, media_type(given), content, wanted.content_id)

    async def _check_gone(self, listed: str, attachment_id: str) -> None:
        """Return if the mail still lists the attachment: Graph answers 404 at times for one that is there.

        Raises:
            MailNotMadeError: The mail is gone, or does not list it.
            SourceError: The list cannot be read.
        """
        url, params = listed, {"$select": "id,name,contentType,size,isInline"}
        for _ in range(_PAGES_MAX):
            try:
                page = await self._access.call("send_files", url, headers=IMMUTABLE, params=params)
            except SourceError as exc:
                if exc.remedy is not Remedy.MISSING:
                    raise
                raise MailNotMadeError(_GONE, ATTACHMENT_GONE) from exc
            if any(entry.get("id") == attachment_id for entry in list_of(page)):
                raise classify(MS365, 0, ["attachment_not_given"])
            url, params = str(page.get("@odata.nextLink") or ""), {}
            if not url:
                break
        raise MailNotMadeError(_GONE, ATTACHMENT_GONE)


class GmailReceived:
    """The attachments of the mails of one Google mailbox.

    Args:
        access: The mailbox's access to Gmail.
        base: The URL of the user.
    """

    def __init__(self, access: MailboxAccess, base: str) -> None:
        self._access = access
        self._base = f"{base}/messages"

    async def read(self, wanted: pb2.SendAttachment, most_bytes: int) -> File:
        """Read an attachment by the id of its part. See `GraphReceived.read`."""
        source = wanted.received
        url = f"{self._base}/{quote(source.message_id, safe='')}"
        mail = await self._get(url, {"format": "full", "fields": "payload"})
        part = part_of(mail, source.attachment_id)
        body = part.get("body") if part is not None else None
        if part is None or not isinstance(body, dict):
            raise MailNotMadeError(_GONE, ATTACHMENT_GONE)
        name, given = str(part.get("filename") or ""), media_type(str(part.get("mimeType") or ""))
        attachment_id = body.get("attachmentId")
        if isinstance(attachment_id, str) and attachment_id:
            content = await self._content(f"{url}/attachments/{quote(attachment_id, safe='')}", most_bytes)
        else:
            content = await _inline(body, most_bytes)
        return File(name, given, content, wanted.content_id)

    async def _get(self, url: str, params: dict[str, str]) -> JSON:
        try:
            return await self._access.call("send_received", url, params=params)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            raise MailNotMadeError(_GONE, ATTACHMENT_GONE) from exc

    async def _content(self, url: str, most_bytes: int) -> bytes:
        async with self._access.stream("send_received_content", url, params={"fields": "data"}) as answer:
            try:
                return await _collected(decoded(answer.pieces), most_bytes)
            except NotDecodableError as exc:
                raise classify(GOOGLEWS, 0, ["answer_is_no_content"]) from exc


async def _collected(pieces: AsyncIterator[bytes], most_bytes: int) -> bytes:
    """Read pieces up to the bound: the rest of a longer answer is never read."""
    found = bytearray()
    async for piece in pieces:
        if len(found) + len(piece) > most_bytes:
            raise MailNotMadeError(_TOO_LARGE)
        found += piece
    return bytes(found)


async def _inline(body: JSON, most_bytes: int) -> bytes:
    """Decode a small part, which Gmail gives in the message itself."""
    try:
        content = await decode_content(str(body.get("data") or ""))
    except ValueError as exc:
        raise classify(GOOGLEWS, 0, ["part_is_no_content"]) from exc
    if len(content) > most_bytes:
        raise MailNotMadeError(_TOO_LARGE)
    return content
