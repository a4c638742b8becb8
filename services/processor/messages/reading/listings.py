"""Lists at the providers: folders, labels, and the results of a search."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, Rule, SourceError, classify
from services.processor.mailbox.identities import GRAPH_PROFILE, Identity, google_identities, graph_identities
from services.processor.mailbox.provider_http import JSON
from services.processor.messages.reading.query import gmail_query, keyword_query
from services.providers.names import GOOGLEWS, MS365

FOLDERS_MAX = 2000
_FOLDER_PAGE = 200
_FOLDER = "id,displayName,parentFolderId,childFolderCount,totalItemCount,unreadItemCount"
_IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
_LIST_UNITS, _LABELS_UNITS, _IDENTITIES_UNITS = 5, 1, 1
_MAX_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class FoundPage:
    """A page of a search.

    Args:
        messages: The mails.
        token: The provider's token of the next page; empty on the last one.
    """

    messages: list[pb2.FoundMessage]
    token: str


class GraphListings:
    """The lists of one Microsoft mailbox.

    Args:
        access: The mailbox's access to Graph.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url

    async def folders(self) -> tuple[list[pb2.MailFolder], bool]:
        """List the folders, each after the one above it; tell whether there are more. Raises `SourceError`."""
        found: list[pb2.MailFolder] = []
        parents = [f"{self._base}/me/mailFolders"]
        while parents:
            url: str = parents.pop(0)
            params: dict[str, str] | None = {
                "$select": _FOLDER, "$top": str(_FOLDER_PAGE), "includeHiddenFolders": "true",
            }  # fmt: skip
            while url:
                answer = await self._access.call("list_folders", url, headers=_IMMUTABLE, params=params)
                for folder in _entries(MS365, answer, "value"):
                    found.append(_folder(folder))
                    if folder.get("childFolderCount"):
                        folder_id = quote(found[-1].folder_id, safe="")
                        parents.append(f"{self._base}/me/mailFolders/{folder_id}/childFolders")
                if len(found) >= FOLDERS_MAX:
                    return found[:FOLDERS_MAX], bool(parents or answer.get("@odata.nextLink"))
                url, params = self._next(answer), None
        return found, False

    async def search(self, query: pb2.MessageQuery, size: int, token: str) -> FoundPage:
        """Search, newest first. `$search` excludes `$filter` and `$orderby`. Raises `SourceError`."""
        params = {"$search": keyword_query(query), "$select": "id,conversationId", "$top": str(size)}
        if token:
            params["$skiptoken"] = token
        answer = await self._access.call("search", f"{self._base}/me/messages", headers=_IMMUTABLE, params=params)
        messages = [
            pb2.FoundMessage(message_id=_text(one, "id"), provider_thread_id=_text(one, "conversationId"))
            for one in _entries(MS365, answer, "value")
        ]
        following = parse_qs(urlsplit(str(answer.get("@odata.nextLink") or "")).query)
        return FoundPage(messages, next(iter(following.get("$skiptoken", ())), ""))

    async def identities(self) -> list[Identity]:
        """List the account's own addresses; Graph does not list the mailboxes as which it may send beside them."""
        me = await self._access.call("list_identities", f"{self._base}/me", params={"$select": GRAPH_PROFILE})
        return graph_identities(me)

    def _next(self, answer: JSON) -> str:
        """Return the link of the next page; the token goes to no other address."""
        link = str(answer.get("@odata.nextLink") or "")
        if link and not link.startswith(f"{self._base}/"):
            raise classify(MS365, 0, ["link_leads_elsewhere"])
        return link


class GmailListings:
    """The lists of one Google mailbox.

    Args:
        access: The mailbox's access to Gmail.
        base_url: The base URL of Gmail's API, with its version.
        take_quota: Takes units of the tenant's quota for reads, and returns the seconds to wait.
    """

    def __init__(self, access: MailboxAccess, base_url: str, take_quota: Callable[[str, int], float]) -> None:
        self._access = access
        self._base = f"{base_url}/users/me"
        self._take_quota = take_quota

    async def labels(self) -> list[pb2.MailLabel]:
        """List the labels; the list has no pages. Raises `SourceError`."""
        self.take(_LABELS_UNITS)
        answer = await self._access.call("list_labels", f"{self._base}/labels")
        return [
            pb2.MailLabel(
                label_id=_text(one, "id"), display_name=_text(one, "name"), is_system=one.get("type") == "system"
            )
            for one in _entries(GOOGLEWS, answer, "labels")
        ]

    async def identities(self) -> list[Identity]:
        """List the verified addresses; the list has no pages. Raises `SourceError`."""
        self.take(_IDENTITIES_UNITS)
        return google_identities(await self._access.call("list_identities", f"{self._base}/settings/sendAs"))

    async def search(self, query: pb2.MessageQuery, size: int, token: str) -> FoundPage:
        """Search, newest first, without spam and trash. Raises `SourceError`."""
        self.take(_LIST_UNITS)
        params = {"q": gmail_query(query), "maxResults": str(size), **({"pageToken": token} if token else {})}
        answer = await self._access.call("search", f"{self._base}/messages", params=params)
        messages = [
            pb2.FoundMessage(message_id=_text(one, "id"), provider_thread_id=_text(one, "threadId"))
            for one in _entries(GOOGLEWS, answer, "messages")
        ]
        return FoundPage(messages, _text(answer, "nextPageToken"))

    def take(self, units: int) -> None:
        """Take units of the quota for reads. Raises `SourceError` when it is used up."""
        seconds = self._take_quota(self._access.tenant_id, units)
        if seconds > _MAX_WAIT_SECONDS:
            rule = Rule(Remedy.THROTTLED, "PROVIDER_THROTTLED")
            raise SourceError(rule, "the mailbox's quota for reads is used up", timedelta(seconds=seconds))


def _folder(folder: JSON) -> pb2.MailFolder:
    return pb2.MailFolder(
        folder_id=_text(folder, "id"),
        display_name=_text(folder, "displayName"),
        parent_folder_id=_text(folder, "parentFolderId"),
        total_count=_count(folder, "totalItemCount"),
        unread_count=_count(folder, "unreadItemCount"),
    )


def _entries(provider: str, answer: JSON, name: str) -> list[JSON]:
    listed = answer.get(name) or []
    if not isinstance(listed, list):
        raise classify(provider, 0, ["list_without_entries"])
    return [entry for entry in listed if isinstance(entry, dict)]


def _text(holder: JSON, name: str) -> str:
    value: Any = holder.get(name)
    return value[:2000].replace("\0", "") if isinstance(value, str) else ""


def _count(holder: JSON, name: str) -> int:
    value: Any = holder.get(name)
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0
