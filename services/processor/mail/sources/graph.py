"""Microsoft Graph over HTTP: messages by immutable id, folders, delta. Other modules interpret the answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import structlog

from services.message.fields import iso_time
from services.processor.mail.sources.failure_scope import FailureScope
from services.processor.mail.sources.findings import LONG_MAILS, Fetched, Finding, mapped_by
from services.processor.mail.sources.graph_mapping import MEETING_ID, map_message
from services.processor.mail.sources.mapping_pool import MappingError
from services.processor.mail.sources.reports import with_report
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError, classify
from services.processor.mailbox.provider_http import JSON, failure
from services.processor.metrics import STEP_SECONDS
from services.providers.marks import GRAPH_SEND
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
    f"singleValueExtendedProperties($filter=id eq 'Integer 0xE08' or id eq '{GRAPH_SEND}' or id eq '{MEETING_ID}')"
)
_IMMUTABLE = 'IdType="ImmutableId"'
_DELTA_FIELDS = "id,changeKey,parentFolderId,receivedDateTime,isDraft"
_CHANGED = "lastModifiedDateTime"
_RECEIVED = "receivedDateTime"


@dataclass(frozen=True)
class DeltaPage:
    """One page of a delta round, or of a listing of changes.

    Args:
        entries: Messages with few fields, or `@removed`.
        link: The link of the next page, or of the next round.
        is_last: Whether the round is over; then the `link` of a delta round begins the next one.
    """

    entries: list[JSON]
    link: str
    is_last: bool


class GraphMailbox:
    """One mailbox at Graph.

    Args:
        access: The mailbox's access to the provider.
        base_url: The base URL of Graph, with its version.
        throttled: See `FailureScope`.
    """

    def __init__(self, access: MailboxAccess, base_url: str, throttled: set[str] | None = None) -> None:
        self.access = access
        self._base = base_url
        self.scope = FailureScope(self.newest, set() if throttled is None else throttled)

    async def fetch(self, message_ids: Sequence[str]) -> Fetched:
        """Fetch messages: one by GET, several by `$batch`, one batch at a time. A failure is returned, not raised."""
        findings: dict[str, Finding] = {}
        try:
            for begin in range(0, len(message_ids), BATCH_MAX):
                with STEP_SECONDS.labels("fetch").time():
                    await self._fetch_some(message_ids[begin : begin + BATCH_MAX], findings)
        except SourceError as exc:
            return Fetched(findings, exc)
        return Fetched(findings)

    async def newest(self) -> None:
        """Read one message's id: the cheapest call that needs the same rights as fetching. Raises `SourceError`."""
        await self.access.call("newest", f"{self._base}/me/messages", params={"$select": "id", "$top": "1"})

    async def folder(self, name: str) -> JSON:
        """Read a folder by id or well-known name. Raises `SourceError`."""
        return await self.access.call(
            "folder", f"{self._base}/me/mailFolders/{quote(name, safe='')}", params={"$select": "id,displayName"}
        )

    async def folders(self) -> list[str]:
        """List the ids of all folders, children included, at most 2,000.

        A folder whose children cannot be listed alone is listed without them.

        Raises:
            SourceError: The failure of the whole mailbox.
        """
        found: list[str] = []
        parents = [f"{self._base}/me/mailFolders"]
        while parents and len(found) < FOLDERS_MAX:
            for folder in await self._children(parents.pop(), is_root=not found):
                found.append(str(folder["id"]))
                if folder.get("childFolderCount"):
                    parents.append(f"{self._base}/me/mailFolders/{quote(str(folder['id']), safe='')}/childFolders")
        return found[:FOLDERS_MAX]

    async def _children(self, url: str, *, is_root: bool) -> list[JSON]:
        try:
            return await self._pages(url)
        except SourceError as exc:
            if is_root:
                raise
            await self.scope.check(exc)
            logger.warning("folders not listed", tenant_id=self.access.tenant_id, error=exc.reason, detail=exc.detail)
            return []

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
        return DeltaPage(_entries(answer), str(following or answer["@odata.deltaLink"]), not following)

    async def changed_since(self, since: datetime, link: str, page_size: int) -> DeltaPage:
        """Read one page of the messages of all folders that were changed since a time, in the order of the changes.

        Args:
            since: The time, by the provider's clock.
            link: The link of the page before; empty for the first page.
            page_size: The largest number of entries.

        Raises:
            SourceError: Any failure, classified by the table of failures.
        """
        params = {
            "$select": f"{_DELTA_FIELDS},{_CHANGED}",
            "$filter": f"{_CHANGED} ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "$orderby": f"{_CHANGED} asc",
            "$top": str(page_size),
        }
        url = link or f"{self._base}/me/messages"
        answer = await self.access.call("changes", url, params=None if link else params, headers={"prefer": _IMMUTABLE})
        following = str(answer.get("@odata.nextLink") or "")
        return DeltaPage(_entries(answer), following, not following)

    async def received_between(self, since: datetime, until: datetime, link: str, page_size: int) -> DeltaPage:
        """Read one page of the messages of all folders that were received between two times, newest first.

        Args:
            since: The earlier time, inclusive.
            until: The later time, inclusive, with its whole second.
            link: The link of the page before; empty for the first page.
            page_size: The largest number of entries.

        Raises:
            SourceError: Any failure, classified by the table of failures.
        """
        first, last = (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (since, until))
        params = {
            "$select": _DELTA_FIELDS,
            "$filter": f"{_RECEIVED} ge {first} and {_RECEIVED} le {last}",
            "$orderby": f"{_RECEIVED} desc",
            "$top": str(page_size),
        }
        url = link or f"{self._base}/me/messages"
        answer = await self.access.call(
            "backfill", url, params=None if link else params, headers={"prefer": _IMMUTABLE}
        )
        following = str(answer.get("@odata.nextLink") or "")
        return DeltaPage(_entries(answer), following, not following)

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

    async def _fetch_some(self, ids: Sequence[str], findings: dict[str, Finding]) -> None:
        """Add the findings of a batch; fetch each message alone that the batch, or its answer, gives no answer about.

        Raises:
            SourceError: The failure of the whole mailbox.
        """
        if len(ids) > 1:
            await self._fetch_batch(ids, findings)
        for message_id in ids:
            if message_id not in findings:
                findings[message_id] = await self._fetch_one(message_id)

    async def _fetch_one(self, message_id: str) -> Finding:
        url = f"{self._base}{_message_path(message_id)}"
        try:
            raw = await self.access.fetch("message", url, params=QUERY, headers={"prefer": _IMMUTABLE})
        except SourceError as exc:
            return await self.scope.finding_of(message_id, exc)
        self.scope.succeeded(message_id)
        return await self._reported(message_id, await mapped_by(map_message, MS365, raw))

    async def _reported(self, message_id: str, finding: Finding) -> Finding:
        return await with_report(finding, lambda: self._raw(message_id), message_id, self.scope)

    @asynccontextmanager
    async def _raw(self, message_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        url = f"{self._base}{_message_path(message_id)}/$value"
        async with self.access.stream("report", url, headers={"prefer": _IMMUTABLE}) as answer:
            yield answer.pieces

    async def _fetch_batch(self, ids: Sequence[str], findings: dict[str, Finding]) -> None:
        requests = [
            {
                "id": str(number),
                "method": "GET",
                "url": f"{_message_path(message_id)}?{_QUERY_TEXT}",
                "headers": {"Prefer": _IMMUTABLE},
            }
            for number, message_id in enumerate(ids)
        ]
        try:
            answer = await self.access.fetch(
                "batch", f"{self._base}/$batch", method="POST", slots=REQUESTS_AT_ONCE, body={"requests": requests}
            )
        except SourceError as exc:
            await self.scope.check(exc)
            logger.warning("batch refused", error=exc.reason, detail=exc.detail)
            return
        try:
            responses = answer.get("responses") if isinstance(answer, dict) else await LONG_MAILS.responses(answer)
        except MappingError as exc:
            logger.warning("batch not taken apart", error=exc.word)
            return
        await self._take_apart(ids, responses, findings)

    async def _take_apart(self, ids: Sequence[str], responses: object, findings: dict[str, Finding]) -> None:
        """Sort the answers. The failure of the whole mailbox is raised after the others' findings are added."""
        whole: SourceError | None = None
        by_number = {str(number): message_id for number, message_id in enumerate(ids)}
        for response in responses if isinstance(responses, list) else ():
            message_id = by_number.get(str(response.get("id"))) if isinstance(response, dict) else None
            if message_id is None:
                continue
            try:
                findings[message_id] = await self._finding_in(message_id, response)
            except SourceError as exc:
                whole = exc
            await asyncio.sleep(0)  # twenty mails in one turn would hold the event loop
        if whole is not None:
            raise whole

    async def _finding_in(self, message_id: str, response: JSON) -> Finding:
        status, body, headers = response.get("status"), response.get("body"), response.get("headers")
        if status == 200:  # noqa: PLR2004 - OK
            self.scope.succeeded(message_id)
            return await self._reported(message_id, await mapped_by(map_message, MS365, body))
        error = failure(
            MS365,
            status if isinstance(status, int) else 0,
            headers if isinstance(headers, dict) else {},
            body if isinstance(body, dict) else None,
        )
        return await self.scope.finding_of(message_id, error)


def _entries(answer: JSON) -> list[JSON]:
    return [entry for entry in answer.get("value") or () if isinstance(entry, dict) and entry.get("id")]


def changed_at(entry: JSON) -> datetime | None:
    """Return the time of the last change of an entry of `GraphMailbox.changed_since`; None without a legible one."""
    return iso_time(str(entry.get(_CHANGED) or ""))


def received_at(entry: JSON) -> datetime | None:
    """Return the time when an entry was received; None without a legible one."""
    return iso_time(str(entry.get(_RECEIVED) or ""))


def _message_path(message_id: str) -> str:
    return f"/me/messages/{quote(message_id, safe='')}"


QUERY = {"$select": _FIELDS, "$expand": _EXPAND}
_QUERY_TEXT = "&".join(f"{name}={quote(value, safe=',$()=/')}" for name, value in QUERY.items())
