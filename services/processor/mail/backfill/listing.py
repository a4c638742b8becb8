"""The pages of a backfill at either provider, newest mail first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from services.processor.mail import graph_notifications
from services.processor.mail.context import MailboxContext, Source
from services.processor.mail.sources.gmail import GET_UNITS, LIST_UNITS, GmailMailbox
from services.processor.mail.sources.graph import GraphMailbox, received_at
from services.processor.mail.state import State
from services.processor.mail.store import folders, messages
from services.processor.mail.store.backfills import BackfillRow


@dataclass(frozen=True)
class Page:
    """A page of mails.

    Args:
        count: The number of mails in it.
        wanted: The ids of those that no event has announced.
        link: The next page; empty on the last one.
    """

    count: int
    wanted: Sequence[str]
    link: str


class Listing(Protocol):
    """Lists the mails of a mailbox."""

    @property
    def source(self) -> Source:
        """The mailbox at its provider."""

    async def page(self, row: BackfillRow, link: str, size: int) -> Page:
        """Read a page of the mails between `since` and `reached_at`; raises `SourceError`."""

    async def oldest(self) -> datetime | None:
        """Return the oldest time on the last page, once its mails are committed; None when no mail has one."""

    def pause(self, requests: int) -> float:
        """Return the seconds after which half of the quota has made good for a page and so many fetches."""


class GraphListing:
    """Lists a Microsoft mailbox, all folders together.

    Args:
        context: The lease.
        source: The mailbox.
    """

    def __init__(self, context: MailboxContext, source: GraphMailbox) -> None:
        self._source = source
        self._context = context
        self._oldest: datetime | None = None

    @property
    def source(self) -> Source:
        """See `Listing.source`."""
        return self._source

    async def page(self, row: BackfillRow, link: str, size: int) -> Page:
        """See `Listing.page`. Drafts, and mail in folders that no subscription covers, are left out."""
        await self._resolve()
        found = await self._source.received_between(row.since, row.reached_at, link, size)
        self._oldest = min((moment for one in found.entries if (moment := received_at(one))), default=None)
        coverage = self._context.coverage
        ids = [
            str(one["id"])
            for one in found.entries
            if one.get("isDraft") is not True and coverage.covers(str(one.get("parentFolderId") or ""), ())
        ]
        return Page(len(found.entries), await _unannounced(self._context, ids), found.link)

    async def oldest(self) -> datetime | None:
        """See `Listing.oldest`."""
        return self._oldest

    def pause(self, requests: int) -> float:
        """See `Listing.pause`: a page and a batch count as a request each."""
        return (requests + 2) * 600 * 2 / self._context.settings.graph_requests_per_10_minutes

    async def _resolve(self) -> None:
        """Find the ids of the folders that subscriptions name."""
        async with self._context.transactions.reading() as connection:
            known = await folders.load(connection, self._context.tenant_id)
        names = await graph_notifications.resolve_folders(self._context, self._source, known)
        self._context.coverage = replace(self._context.coverage, folders=names)


class GmailListing:
    """Lists a Google mailbox.

    Args:
        context: The lease.
        source: The mailbox.
    """

    def __init__(self, context: MailboxContext, source: GmailMailbox) -> None:
        self._source = source
        self._context = context
        self._ids: Sequence[str] = ()

    @property
    def source(self) -> Source:
        """See `Listing.source`."""
        return self._source

    async def page(self, row: BackfillRow, link: str, size: int) -> Page:
        """See `Listing.page`. A list has ids only: labels and times come with the fetch."""
        self._ids, following = await self._source.listed_between(row.since, row.reached_at, link, size)
        return Page(len(self._ids), await _unannounced(self._context, self._ids), following)

    async def oldest(self) -> datetime | None:
        """See `Listing.oldest`."""
        async with self._context.transactions.reading() as connection:
            known = await messages.load(connection, self._context.tenant_id, self._ids)
        return min((one.mail_received_at for one in known.values() if one.mail_received_at), default=None)

    def pause(self, requests: int) -> float:
        """See `Listing.pause`."""
        return (requests * GET_UNITS + LIST_UNITS) * 60 * 2 / self._context.settings.gmail_units_per_minute


async def _unannounced(context: MailboxContext, ids: Sequence[str]) -> list[str]:
    async with context.transactions.reading() as connection:
        known = await messages.load(connection, context.tenant_id, list(ids))
    return [one for one in ids if one not in known or known[one].state is State.KNOWN]
