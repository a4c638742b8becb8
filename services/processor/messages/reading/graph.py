"""Content from Microsoft Graph: `/$value` of a mail and of an attachment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from services.meshkit.file_names import safe_name
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.graph_items import begun, kind_of_item
from services.processor.messages.errors import AttachmentNotFound
from services.processor.messages.reading.download import Download
from services.processor.messages.reading.names import media_type

_IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
_LINK, _ITEM = "referenceattachment", "itemattachment"


class GraphContent:
    """The content of one Microsoft mailbox.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = f"{base_url}/me/messages"

    @asynccontextmanager
    async def raw(self, message_id: str) -> AsyncIterator[Download]:
        """Open a mail in MIME. Raises `SourceError`."""
        url = f"{self._base}/{quote(message_id, safe='')}/$value"
        async with self._access.stream("raw", url, headers=_IMMUTABLE) as answer:
            yield Download("message.eml", "message/rfc822", answer.length, answer.pieces)

    @asynccontextmanager
    async def attachment(self, message_id: str, attachment_id: str) -> AsyncIterator[Download]:
        """Open an attachment. `size` of its description is not its number of bytes; the answer's length is.

        Raises:
            AttachmentNotFound: The mail has no such attachment, or it is a link.
            SourceError: Any other failure.
        """
        url = f"{self._base}/{quote(message_id, safe='')}/attachments/{quote(attachment_id, safe='')}"
        try:
            found = await self._access.call(
                "attachment", url, headers=_IMMUTABLE, params={"$select": "name,contentType"}
            )
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            raise not_found(attachment_id) from exc
        kind = str(found.get("@odata.type") or "").rpartition(".")[2].lower()
        if kind == _LINK:  # its `$value` is answered with 405
            raise not_found(attachment_id)
        name, given = str(found.get("name") or ""), str(found.get("contentType") or "")
        async with self._access.stream("content", f"{url}/$value", headers=_IMMUTABLE) as answer:
            pieces = answer.pieces
            if kind == _ITEM:
                beginning, pieces = await begun(pieces)
                ending, given = kind_of_item(beginning)
                name = f"{name}.{ending}"
            yield Download(safe_name(name), media_type(given), answer.length, pieces)


def not_found(attachment_id: str) -> AttachmentNotFound:
    """Return the failure for an attachment that a mail has not."""
    return AttachmentNotFound(resource=attachment_id, metadata={"attachment_id": attachment_id})
