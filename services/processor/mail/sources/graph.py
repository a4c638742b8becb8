"""Microsoft Graph over HTTP: messages by immutable id, folders, delta. Other modules interpret the answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import structlog

from services.processor.mail.sources.findings import Fetched, Finding, finding_of, mapped_by
from services.processor.mail.sources.graph_mapping import map_message
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError, classify
from services.processor.mailbox.provider_http import JSON, failure
from services.processor.metrics import STEP_SECONDS
from services.providers.names import MS365

logger = structlog.get_logger(__name__)

REQUESTS_AT_ONCE = 4
"""Outlook serves four requests at once per app and mailbox, and runs the requests of a batch four at a time."""
BATCH_MAX = 20
FOLDERS_MAX = 2000
_FIELDS = (
    "id,changeKey,internetMessageId,conversationId,parentFolderId,subject,bodyPreview,body,from,sender,toRecipients,"
    "ccRecipients,bccRecipients,replyTo,receivedDateTime,sentDateTime,hasAttachments,importance,isRead,isDraft,categories,"
    "internetMessageHeaders,webLink,createdDateTime,lastModifiedDateTime,flag,inferenceClassification"
)
_EXPAND = (
    "attachments($select=id,name,contentType,size,isInline,microsoft.graph.fileAttachment/contentId),"
    "singleValueExtendedProperties($filter=id eq 'Integer 0xE08')"
)
_IMMUTABLE = 'IdType="ImmutableId"'
_DELTA_FIELDS = "id,changeKey,parentFolderId,receivedDateTime,isDraft"


@dataclass(frozen=True)
class DeltaPage:
    """One page of a delta round.

    Args:
        entries: Messages with few fields, or `@removed`.
        link: The link of the next page, or of the next round.
        is_last: Whether the round is over; then `link` begins the next one.
    """

    entries: Sequence[JSON]
    link: str
    is_last: bool


class GraphMailbox:
    """One mailbox at Graph.

    Args:
        access: The mailbox's access to the provider.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self.access = access
        self._base = base_url

    async def fetch(self, message_ids: Sequence[str]) -> Fetched:
        """Fetch messages: one by GET, several by `$batch`, one batch at a time. A failure is returned, not raised."""
        findings: dict[str, Finding] = {}
        for begin in range(0, len(message_ids), BATCH_MAX):
            ids = message_ids[begin : begin + BATCH_MAX]
            try:
                with STEP_SECONDS.labels("fetch").time():
                    fetched = await (self._fetch_batch(ids) if len(ids) > 1 else self._fetch_one(ids[0]))
            except SourceError as exc:
                return Fetched(findings, exc)
            findings |= fetched.findings
            if fetched.failure is not None:
                return Fetched(findings, fetched.failure)
        return Fetched(findings)

    async def folder(self, name: str) -> JSON:
        """Read a folder by id or well-known name. Raises `SourceError`."""
        return await self.access.call(
            "folder", f"{self._base}/me/mailFolders/{quote(name, safe='')}", params={"$select": "id,displayName"}
        )

    async def folders(self) -> list[str]:
        """List the ids of all folders, children included, at most 2,000. Raises `SourceError`."""
        found: list[str] = []
        parents = [f"{self._base}/me/mailFolders"]
        while parents and len(found) < FOLDERS_MAX:
            for folder in await self._pages(parents.pop()):
                found.append(str(folder["id"]))
                if folder.get("childFolderCount"):
                    parents.append(f"{self._base}/me/mailFolders/{quote(str(folder['id']), safe='')}/childFolders")
        return found[:FOLDERS_MAX]

    async def delta(self, folder_id: str, link: str, page_size: int) -> DeltaPage:
        """Read one page of a folder's changes.

        Args:
            folder_id: The folder's id.
            link: The link of the page before; empty begins with everything in the folder.
            page_size: The largest number of entries.

        Raises:
            SourceError: With `CURSOR_LOST` when Graph no longer knows the link.
        """
        url = link or f"{self._base}/me/mailFolders/{quote(folder_id, safe='')}/messages/delta"
        prefer = {"prefer": f"{_IMMUTABLE}, odata.maxpagesize={page_size}"}
        answer = await self.access.call(
            "delta", url, params=None if link else {"$select": _DELTA_FIELDS}, headers=prefer
        )
        following = answer.get("@odata.nextLink")
        if not (following or answer.get("@odata.deltaLink")):
            raise classify(MS365, 0, ["delta_without_link"])
        entries = [entry for entry in answer.get("value") or () if isinstance(entry, dict) and entry.get("id")]
        return DeltaPage(entries, str(following or answer["@odata.deltaLink"]), not following)

    async def _pages(self, url: str) -> list[JSON]:
        params: dict[str, Any] | None = {
            "$select": "id,childFolderCount",
            "$top": "200",
            "includeHiddenFolders": "true",
        }
        found: list[JSON] = []
        while url and len(found) < FOLDERS_MAX:
            answer = await self.access.call("folders", url, params=params)
            found += [folder for folder in answer.get("value") or () if isinstance(folder, dict) and folder.get("id")]
            url, params = str(answer.get("@odata.nextLink") or ""), None
        return found

    async def _fetch_one(self, message_id: str) -> Fetched:
        url = f"{self._base}{_message_path(message_id)}"
        try:
            raw = await self.access.call("message", url, params=QUERY, headers={"prefer": _IMMUTABLE})
        except SourceError as exc:
            return Fetched({message_id: finding_of(exc)})
        return Fetched({message_id: await mapped_by(map_message, MS365, raw)})

    async def _fetch_batch(self, ids: Sequence[str]) -> Fetched:
        requests = [
            {
                "id": str(number),
                "method": "GET",
                "url": f"{_message_path(message_id)}?{_QUERY_TEXT}",
                "headers": {"Prefer": _IMMUTABLE},
            }
            for number, message_id in enumerate(ids)
        ]
        answer = await self.access.call(
            "batch", f"{self._base}/$batch", method="POST", slots=REQUESTS_AT_ONCE, body={"requests": requests}
        )
        return await self._taken_apart(ids, answer.get("responses") or ())

    async def _taken_apart(self, ids: Sequence[str], responses: Iterable[JSON]) -> Fetched:
        """Sort the answers: each message's own finding, and the failure that concerns the whole mailbox."""
        findings: dict[str, Finding] = {}
        whole: SourceError | None = None
        for response in responses:
            message_id = ids[int(response["id"])]
            status, body = int(response.get("status", 0)), response.get("body")
            if status == 200:  # noqa: PLR2004 - OK
                findings[message_id] = await mapped_by(map_message, MS365, body)
                continue
            error = failure(MS365, status, response.get("headers") or {}, body if isinstance(body, dict) else None)
            try:
                findings[message_id] = finding_of(error)
            except SourceError as exc:
                whole = exc
        return Fetched(findings, whole)


def _message_path(message_id: str) -> str:
    return f"/me/messages/{quote(message_id, safe='')}"


QUERY = {"$select": _FIELDS, "$expand": _EXPAND}
_QUERY_TEXT = "&".join(f"{name}={quote(value, safe=',$()=/')}" for name, value in QUERY.items())
