"""Files of a draft at Microsoft Graph: small ones in one request, larger ones by an upload session.

Source: Microsoft's guide to large attachments (outlook-large-attachments). A session takes pieces of less than 4 MB in
order, at a URL of another host that is itself the secret: it gets no access token and stands in no log.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.meshkit.file_names import safe_name
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.processor.outbox.graph_fields import IMMUTABLE, attachment_of
from services.processor.outbox.rows import File
from services.providers.names import MS365

_POST_BYTES = 3_000_000
_PIECE_BYTES = 10 * 320 * 1024
"""A multiple of 320 KiB, below 4 MB."""
_TOO_SMALL = "errorattachmentsizeshouldnotbelessthanminimumsize"
_CREATED, _TAKEN, _OUT_OF_RANGE = 201, 200, 416


class GraphFiles:
    """Adds files to the drafts of one Microsoft mailbox.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._me = f"{base_url}/me"

    async def add(self, draft_id: str, files: Sequence[File]) -> None:
        """Add files to a draft, in order. Each call adds them: a draft that got some of them only is not repaired.

        Raises:
            SourceError: Any failure; some of the files may be there.
        """
        url = f"{self._me}/messages/{quote(draft_id, safe='')}/attachments"
        for file in files:
            if len(file.content) <= _POST_BYTES or not await self._uploaded(url, file):
                await self._posted(url, file)

    async def _posted(self, url: str, file: File) -> None:
        await self._access.call(
            "send_file", url, method="POST", headers=IMMUTABLE, body=attachment_of(file), success=_CREATED
        )

    async def _uploaded(self, url: str, file: File) -> bool:
        """Upload a file in pieces; return False when Graph finds it too small for that.

        Graph's bounds of both ways are "3 MB", and it is not documented which megabyte either of them means.
        """
        try:
            begun = await self._access.call(
                "send_file_begin", f"{url}/createUploadSession", method="POST", headers=IMMUTABLE,
                body={"AttachmentItem": _item_of(file)}, success=_CREATED,
            )  # fmt: skip
        except SourceError as exc:
            if exc.code.lower() != _TOO_SMALL:
                raise
            return False
        upload_url = _upload_url(begun)
        for first in range(0, len(file.content), _PIECE_BYTES):
            await self._piece(upload_url, file.content, first)
        return True

    async def _piece(self, upload_url: str, content: bytes, first: int) -> None:
        end, total = min(first + _PIECE_BYTES, len(content)), len(content)
        headers = {"content-type": "application/octet-stream", "content-range": f"bytes {first}-{end - 1}/{total}"}
        try:
            taken = await self._access.upload(
                "send_file_piece",
                upload_url,
                content=content[first:end],
                headers=headers,
                success=_TAKEN if end < total else _CREATED,
            )
        except SourceError as exc:
            # aiohttp repeats a PUT by itself when the connection ends without an answer; Graph has the piece already.
            if exc.status == _OUT_OF_RANGE:
                raise _out_of_step() from exc
            raise
        if end < total and _next_byte(taken) != end:
            raise _out_of_step()


def _item_of(file: File) -> JSON:
    return {
        "attachmentType": "file",
        "name": safe_name(file.name),
        "size": len(file.content),
        "contentType": file.content_type,
        **({"isInline": True, "contentId": file.content_id} if file.content_id else {}),
    }


def _upload_url(session: JSON) -> str:
    found = session.get("uploadUrl")
    if not isinstance(found, str) or not found.startswith("https://"):
        raise classify(MS365, 0, ["session_without_url"])
    return found


def _out_of_step() -> SourceError:
    """Return the failure of an upload whose session expects another byte: the mail gets a new draft later."""
    return classify(MS365, 0, ["upload_out_of_step"])


def _next_byte(session: JSON) -> int | None:
    """Return the first byte that the session expects; Graph writes "7", "7-" or "7-9", in a list."""
    ranges: Any = session.get("nextExpectedRanges")
    first = str(ranges[0]).partition("-")[0] if isinstance(ranges, list) and ranges else ""
    return int(first) if first.isdecimal() else None
