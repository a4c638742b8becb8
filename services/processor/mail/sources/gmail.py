"""Gmail over HTTP: messages, history, lists, the profile. Other modules interpret the answers."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from services.meshkit.loops import for_each
from services.message.fields import text
from services.processor.mail.sources.failure_scope import FailureScope
from services.processor.mail.sources.findings import Failed, Fetched, Finding, held_back, mapped_by
from services.processor.mail.sources.gmail_mapping import map_message
from services.processor.mail.sources.reports import with_report
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.decoding import decoded
from services.processor.mailbox.failures import RULES, Remedy, Rule, SourceError
from services.processor.mailbox.provider_http import JSON
from services.processor.metrics import STEP_SECONDS
from services.providers.failures import Meaning
from services.providers.names import GOOGLEWS

GET_UNITS, HISTORY_UNITS, LIST_UNITS, PROFILE_UNITS = 20, 2, 5, 1
_TYPES = ("messageAdded", "messageDeleted", "labelAdded", "labelRemoved")
UNREAD_VERSION = sys.maxsize
"""Stands for the history id of a message whose own one could not be read: it may have changed."""
_MAX_WAIT_SECONDS = 2.0
_SPARE_SHARE = 0.75
_BODIES = 8  # of one mail, withheld by Gmail

_FIRST_YEAR_OF_SECONDS = 1980


class HistoryBehindError(SourceError):
    """Gmail's history ends below the id that it was asked from: a copy that lags, or a history that began again."""

    def __init__(self) -> None:
        said = "Gmail's history ends before the history id"
        super().__init__(RULES[Meaning.CONFLICT], said, meaning=Meaning.CONFLICT)


@dataclass(frozen=True)
class HistoryPage:
    """One page of history.

    Args:
        records: The records as Gmail returned them, oldest first.
        history_id: The mailbox's history id when Gmail made the page.
        next_token: The token of the next page; empty on the last one.
    """

    records: Sequence[JSON]
    history_id: int
    next_token: str


class Quota:
    """The quota of one mailbox, as a token bucket that fills over a minute.

    Args:
        units_per_minute: The provider's quota, in quota units per minute.
    """

    def __init__(self, units_per_minute: int) -> None:
        self._most = float(units_per_minute)
        self._left = float(units_per_minute)
        self._at = time.monotonic()

    def wait_for(self, units: int) -> float:
        """Take units and return the seconds to wait first; take nothing when the wait is longer than two seconds.

        A request that costs more than a minute's quota takes all of it: it would never be made otherwise.
        """
        units = min(units, int(self._most))
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._most / 60)
        self._at = now
        seconds = max(0.0, (units - self._left) * 60 / self._most)
        if seconds <= _MAX_WAIT_SECONDS:
            self._left -= units
        return seconds

    async def take(self, units: int) -> None:
        """Take units, after a short wait if need be.

        Raises:
            SourceError: With `THROTTLED` when the wait would be longer than two seconds.
        """
        seconds = self.wait_for(units)
        if seconds > _MAX_WAIT_SECONDS:
            rule = Rule(Remedy.THROTTLED, "PROVIDER_THROTTLED")
            raise SourceError(rule, "the mailbox's own quota is used up", timedelta(seconds=seconds))
        if seconds:
            await asyncio.sleep(seconds)

    def seconds_until(self, share: float) -> float:
        """Return the seconds until this share of a minute's quota is left, when nothing else uses it."""
        now = min(1.0, self._left / self._most + (time.monotonic() - self._at) / 60)
        return max(0.0, (share - now) * 60)


class GmailMailbox:
    """One mailbox at Gmail.

    Args:
        access: The mailbox's access to the provider.
        base_url: The base URL of the Gmail API, with its version.
        quota: The mailbox's quota.
        at_once: The largest number of fetches at the same time.
        throttled: See `FailureScope`.
    """

    def __init__(
        self, access: MailboxAccess, base_url: str, quota: Quota, at_once: int, throttled: set[str] | None = None
    ) -> None:
        self.access = access
        self._base = f"{base_url}/users/me"
        self._quota = quota
        self._at_once = at_once
        self.scope = FailureScope(self.present_history_id, set() if throttled is None else throttled)

    async def fetch(self, message_ids: Sequence[str]) -> Fetched:
        """Fetch messages, several at a time. A failure of the provider is in the result, not raised."""
        findings: dict[str, Finding] = {}
        whole: list[SourceError] = []

        async def one(message_id: str) -> None:
            if whole:
                return
            try:
                findings[message_id] = await self._fetch_one(message_id)
            except SourceError as exc:
                whole.append(exc)

        with STEP_SECONDS.labels("fetch").time():
            await for_each(message_ids, one, at_once=min(self._at_once, max(1, len(message_ids))))
        return Fetched(findings, whole[0] if whole else None)

    async def history(self, start_id: int, page_token: str, page_size: int) -> HistoryPage:
        """Read a page of the history after an id.

        Raises:
            HistoryBehindError: The mailbox's own id is below it.
            SourceError: With `CURSOR_LOST` when Gmail no longer knows the id.
        """
        params: dict[str, object] = {"startHistoryId": str(start_id), "historyTypes": _TYPES, "maxResults": page_size}
        if page_token:
            params["pageToken"] = page_token
        try:
            answer = await self._call("history", "/history", HISTORY_UNITS, params)
        except SourceError as exc:
            if exc.remedy is not Remedy.MISSING:
                raise
            rule = Rule(Remedy.CURSOR_LOST, exc.reason)
            raise SourceError(rule, "Gmail no longer knows the history id") from exc
        reached = int(answer.get("historyId") or 0)
        if 0 < reached < start_id:
            raise HistoryBehindError
        return HistoryPage(answer.get("history") or (), reached, answer.get("nextPageToken") or "")

    async def present_history_id(self) -> int:
        """Return the mailbox's history id now. Raises `SourceError`."""
        return int((await self._call("profile", "/profile", PROFILE_UNITS))["historyId"])

    async def listed_since(self, since: datetime | None, page_token: str, page_size: int) -> tuple[list[str], str]:
        """Read a page of the ids of messages received since a time, or of all, spam and trash included.

        Returns:
            The ids, newest first, and the next page's token, empty at the end.

        Raises:
            SourceError: Any failure, classified by the table of failures.
        """
        params: dict[str, object] = {"includeSpamTrash": "true", "maxResults": page_size}
        # `after:` takes seconds since 1970 and no sign. A time before any mail means every mail.
        if since is not None and since.year >= _FIRST_YEAR_OF_SECONDS:
            params["q"] = f"after:{_second_before(since)}"
        if page_token:
            params["pageToken"] = page_token
        answer = await self._call("list", "/messages", LIST_UNITS, params)
        return [str(entry["id"]) for entry in answer.get("messages") or ()], answer.get("nextPageToken") or ""

    async def listed_between(
        self, since: datetime, until: datetime, page_token: str, page_size: int
    ) -> tuple[list[str], str]:
        """Read a page of the ids of messages received between two times, spam and trash included; see `listed_since`.

        Raises:
            SourceError: Any failure, classified by the table of failures.
        """
        first, last = _second_before(since), int(until.timestamp()) + 1
        params: dict[str, object] = {
            "includeSpamTrash": "true",
            "maxResults": page_size,
            "q": f"after:{first} before:{last}",
        }
        if page_token:
            params["pageToken"] = page_token
        answer = await self._call("backfill", "/messages", LIST_UNITS, params)
        return [str(entry["id"]) for entry in answer.get("messages") or ()], answer.get("nextPageToken") or ""

    async def versions(self, message_ids: Sequence[str]) -> dict[str, int]:
        """Read the history ids of the last changes of messages, without their content.

        Returns:
            The ids by message, without messages that are gone. A message that fails by itself has
            `UNREAD_VERSION`.

        Raises:
            SourceError: A failure of the whole mailbox.
        """
        found: dict[str, int] = {}

        async def one(message_id: str) -> None:
            try:
                raw = await self._call("version", f"/messages/{message_id}", GET_UNITS, {"format": "minimal"})
            except SourceError as exc:
                if isinstance(await self.scope.finding_of(message_id, exc), Failed):
                    found[message_id] = UNREAD_VERSION
                return
            found[message_id] = int(raw.get("historyId") or 0)

        await for_each(message_ids, one, at_once=min(self._at_once, max(1, len(message_ids))))
        return found

    @property
    def seconds_to_spare_quota(self) -> float:
        """The seconds until work that can wait may use the mailbox's quota: most of it is left for live work."""
        return self._quota.seconds_until(_SPARE_SHARE)

    async def _fetch_one(self, message_id: str) -> Finding:
        path = f"/messages/{message_id}"
        try:
            raw = await self._fetch("message", path, {"format": "full"})
            bodies = await self._bodies(path, await held_back(raw))
        except SourceError as exc:
            return await self.scope.finding_of(message_id, exc)
        self.scope.succeeded(message_id)
        found = await mapped_by(map_message, GOOGLEWS, raw, bodies)
        return await with_report(found, lambda: self._raw(path), message_id, self.scope)

    @asynccontextmanager
    async def _raw(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        await self._quota.take(GET_UNITS)
        query: dict[str, object] = {"format": "raw", "fields": "raw"}
        async with self.access.stream("report", f"{self._base}{path}", params=query) as answer:
            yield decoded(answer.pieces)

    async def _bodies(self, path: str, attachment_ids: Sequence[str]) -> dict[str, str | bytes]:
        """Fetch the bodies that Gmail withholds. A body that cannot be fetched counts as cut."""
        found: dict[str, str | bytes] = {}
        for attachment_id in attachment_ids[:_BODIES]:
            try:
                answer = await self._fetch("attachment", f"{path}/attachments/{quote(attachment_id, safe='')}")
            except SourceError as exc:
                if exc.remedy not in (Remedy.MISSING, Remedy.PERMANENT) and exc.meaning is not Meaning.FORBIDDEN:
                    raise
                await self.scope.check(exc)
                continue
            found[attachment_id] = answer if isinstance(answer, bytes) else text(answer, "data")
        return found

    async def _fetch(self, operation: str, path: str, params: dict[str, object] | None = None) -> JSON | bytes:
        await self._quota.take(GET_UNITS)
        return await self.access.fetch(operation, f"{self._base}{path}", params=params)

    async def _call(self, operation: str, path: str, units: int, params: dict[str, object] | None = None) -> JSON:
        await self._quota.take(units)
        return await self.access.call(operation, f"{self._base}{path}", params=params)


def _second_before(moment: datetime) -> int:
    """Return the second before a time, for Gmail's `after:`. No time lies before the first one of the calendar."""
    return int(moment.timestamp()) - 1
