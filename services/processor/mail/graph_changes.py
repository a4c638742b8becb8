"""Reconcile a Microsoft mailbox whose subscriptions cover all mail by its latest changes, between complete rounds.

Delta works per folder, so a complete round takes one call for each folder. One listing over all folders by the time of
the last change finds new, changed and moved messages with one call; only a complete round finds deletions.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.processor.mail.context import MailboxContext
from services.processor.mail.graph_reconcile import Round
from services.processor.mail.origin import Origin
from services.processor.mail.sources.graph import DeltaPage, GraphMailbox, changed_at
from services.processor.mail.state import RECONCILIATION, UPDATED, ReportedChange
from services.processor.mail.store import messages
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.intervals import Intervals
from services.processor.mailbox.provider_http import JSON
from services.processor.mailbox.store import row_changes
from services.processor.metrics import FAILURES
from services.providers.names import MS365

logger = structlog.get_logger(__name__)

_DOUBLINGS = 20


class Listing(Enum):
    """The result of a listing of the changes."""

    NOT_ENOUGH = "not_enough"
    """A complete round has to follow: it is due, or there are too many changes for the time."""
    REPLACED = "replaced"
    """The listing alone is refused, and a complete round has to replace it."""
    REFUSED = "refused"
    """The listing alone is refused, and the next complete round is not due yet."""
    CHANGES = "changes"
    """Every change was read."""


async def list_changes(context: MailboxContext, graph: GraphMailbox, item: item_pb2.InboxItem) -> Listing:
    """Fetch the messages that were changed since every older change was committed, for a bounded time.

    A listing that is refused alone is retried with each reconciliation. A complete round replaces it, at first every
    time, then after a pause that doubles up to the interval of an idle mailbox.

    Returns:
        The result; pages that were read are committed.

    Raises:
        SourceError: A failure of the whole mailbox.
    """
    if not _are_enough(context, item):
        return Listing.NOT_ENOUGH
    try:
        return Listing.CHANGES if await _read(context, graph, item) else Listing.NOT_ENOUGH
    except SourceError as exc:
        await graph.scope.check(exc)
        return _refused(context, item, exc)


def _are_enough(context: MailboxContext, item: item_pb2.InboxItem) -> bool:
    """Return whether a listing of the changes is enough: for one by schedule, some hours after a complete round."""
    last, mailbox = context.mailbox.last_reconciled_at, context.mailbox
    is_recent = last is not None and context.clock.now() - last < timedelta(seconds=context.settings.reconcile_seconds)
    is_scheduled = item.reconcile.reason == item_pb2.RECONCILE_REASON_SCHEDULE
    is_pushed = not all(watch.is_polled for watch in context.lease.watches)
    return (
        is_scheduled and is_pushed and is_recent and context.coverage.is_all_mail and mailbox.caught_up_at is not None
    )


def _refused(context: MailboxContext, item: item_pb2.InboxItem, error: SourceError) -> Listing:
    """Tell whether a complete round is due; the answer for an item stays the same while its round is interrupted."""
    refusals, last = context.mailbox.listing_refusals, context.mailbox.last_reconciled_at
    FAILURES.labels(MS365, "changes", error.reason).inc()
    logger.warning("changes not listed", tenant_id=context.tenant_id, error=error.reason, detail=error.detail)
    intervals = Intervals.of(context.settings)
    pause = min(intervals.active * 2 ** min(refusals, _DOUBLINGS), intervals.idle)
    is_paused = last is not None and refusals > 0 and item.received_at.ToDatetime(UTC) - last < pause
    return Listing.REFUSED if is_paused else Listing.REPLACED


async def _set_refusals(context: MailboxContext, refusals: int) -> None:
    if refusals == context.mailbox.listing_refusals:
        return
    await context.change(row_changes.listing_refusals(refusals))
    context.mailbox = replace(context.mailbox, listing_refusals=refusals)


async def _read(context: MailboxContext, graph: GraphMailbox, item: item_pb2.InboxItem) -> bool:
    """Read the listing page by page, each from the time of the newest change that the one before has.

    Graph's own next pages count positions, and a change or a deletion meanwhile moves a message to another position.
    They serve for the messages of one second that fill a page.

    Returns:
        False when there are too many changes for the time.
    """
    deadline, began_at = time.monotonic() + context.settings.slice_seconds, context.clock.now()
    assert context.mailbox.caught_up_at is not None  # noqa: S101 - `_are_enough` has looked
    since = context.mailbox.caught_up_at - timedelta(seconds=context.settings.overlap_seconds)
    origin, link = Origin.of(item, RECONCILIATION), ""
    while True:
        page = await graph.changed_since(since, link, context.settings.page_size)
        await _process_page(context, graph, page.entries, origin)
        if page.is_last:
            await _set_refusals(context, 0)
            await _catch_up(context, began_at)
            return True
        if time.monotonic() > deadline:
            return False
        since, link = _following(page, since)


def _following(page: DeltaPage, since: datetime) -> tuple[datetime, str]:
    """Return the time and the link of the next page."""
    newest = max((moment for entry in page.entries if (moment := changed_at(entry))), default=since)
    is_later = newest.replace(microsecond=0) > since.replace(microsecond=0)
    return (newest, "") if is_later else (since, page.link)


async def caught_up(context: MailboxContext, listing: Listing, outcome: Round, at: datetime) -> None:
    """Store the time up to which every change is committed, and a replaced listing, after a round over all folders.

    After a round without some folder, the next listing begins where the one before began, since it names the messages
    of that folder as well.
    """
    if not context.coverage.is_all_mail or outcome is Round.PAUSED:
        return
    if listing is Listing.REPLACED:
        await _set_refusals(context, context.mailbox.listing_refusals + 1)
    if outcome is Round.COMPLETE:
        await _catch_up(context, at)
    elif context.mailbox.caught_up_at is None and context.mailbox.covered_from is not None:
        await _catch_up(context, context.mailbox.covered_from)


async def _catch_up(context: MailboxContext, at: datetime) -> None:
    await context.change(row_changes.caught_up(at))


async def _process_page(context: MailboxContext, graph: GraphMailbox, entries: list[JSON], origin: Origin) -> None:
    versions = {str(entry["id"]): str(entry.get("changeKey") or "") for entry in entries}
    drafts = frozenset(str(entry["id"]) for entry in entries if entry.get("isDraft") is True)
    silent = frozenset[str]() if context.coverage.has_draft_events else drafts
    async with context.transactions.reading() as connection:
        known = await messages.load(connection, context.tenant_id, list(versions))
    changes = [
        ReportedChange(
            message_id, frozenset({UPDATED}), origin.received_at, origin.correlation_id, RECONCILIATION, version=version
        )
        for message_id, version in versions.items()
        if message_id not in known or (known[message_id].version != version and message_id not in silent)
    ]
    step = context.settings.commit_messages
    for begin in range(0, len(changes), step):
        await context.fetch_and_commit_all(graph, changes[begin : begin + step])
