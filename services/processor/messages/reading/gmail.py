"""Content from Gmail, which gives it as base64url in JSON: a mail by `format=raw`, an attachment by the id of its part.

An attachment id lives shortly, and a part's id stays. The mail is read for the present attachment id each time.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import quote

from services.meshkit.file_names import safe_name
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.decoding import NotDecodableError, decoded
from services.processor.mailbox.failures import Remedy, Rule, SourceError, classify
from services.processor.mailbox.gmail_parts import part_of
from services.processor.mailbox.parsing import decode_content
from services.processor.mailbox.provider_http import JSON
from services.processor.messages.reading.download import Download
from services.processor.messages.reading.graph import not_found
from services.processor.messages.reading.names import media_type
from services.providers.names import GOOGLEWS

_GET_UNITS = 20
_MAX_WAIT_SECONDS = 2.0


class GmailContent:
    """The content of one Google mailbox.

    Args:
        access: The mailbox's access to Gmail.
        base_url: The base URL of Gmail's API, with its version.
        take_quota: Takes units of the tenant's quota for reads, and returns the seconds to wait.
    """

    def __init__(self, access: MailboxAccess, base_url: str, take_quota: Callable[[str, int], float]) -> None:
        self._access = access
        self._base = f"{base_url}/users/me/messages"
        self._take_quota = take_quota

    @asynccontextmanager
    async def raw(self, message_id: str) -> AsyncIterator[Download]:
        """Open a mail in MIME. Raises `SourceError`."""
        self._take()
        url = f"{self._base}/{quote(message_id, safe='')}"
        async with self._access.stream("raw", url, params={"format": "raw", "fields": "raw"}) as answer:
            yield Download("message.eml", "message/rfc822", None, _decoded(answer.pieces))

    @asynccontextmanager
    async def attachment(self, message_id: str, part_id: str) -> AsyncIterator[Download]:
        """Open an attachment by the id of its part.

        Raises:
            AttachmentNotFound: The mail has no such part with content.
            SourceError: Any other failure.
        """
        self._take()
        url = f"{self._base}/{quote(message_id, safe='')}"
        mail = await self._access.call("attachment", url, params={"format": "full", "fields": "payload"})
        part = part_of(mail, part_id)
        body = part.get("body") if part is not None else None
        if part is None or not isinstance(body, dict):
            raise not_found(part_id)
        name, given = safe_name(str(part.get("filename") or "")), media_type(str(part.get("mimeType") or ""))
        size, attachment_id = body.get("size"), body.get("attachmentId")
        whole = size if isinstance(size, int) and size >= 0 else None
        if not isinstance(attachment_id, str) or not attachment_id:
            yield Download(name, given, whole, _inline(body))
            return
        self._take()
        content = f"{url}/attachments/{quote(attachment_id, safe='')}"
        async with self._access.stream("content", content, params={"fields": "data"}) as answer:
            yield Download(name, given, whole, _decoded(answer.pieces))

    def _take(self) -> None:
        seconds = self._take_quota(self._access.tenant_id, _GET_UNITS)
        if seconds > _MAX_WAIT_SECONDS:
            rule = Rule(Remedy.THROTTLED, "PROVIDER_THROTTLED")
            raise SourceError(rule, "the mailbox's quota for reads is used up", timedelta(seconds=seconds))


async def _decoded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for piece in decoded(pieces):
            yield piece
    except NotDecodableError as exc:
        raise classify(GOOGLEWS, 0, ["answer_is_no_content"]) from exc


async def _inline(body: JSON) -> AsyncIterator[bytes]:
    data = str(body.get("data") or "")
    try:
        content = await decode_content(data)
    except ValueError as exc:
        raise classify(GOOGLEWS, 0, ["part_is_no_content"]) from exc
    yield content
