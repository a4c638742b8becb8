"""Reconcile a Microsoft mailbox whose subscriptions cover all mail by its latest changes, between complete rounds.

Delta works per folder, so a complete round takes one call for each folder. One listing over all folders by the time of
the last change finds new, changed and moved messages with one call; only a complete round finds deletions.
"""

import time
from datetime import datetime, timedelta

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.meshkit import db
from services.processor.mail.context import MailboxContext
from services.processor.mail.origin import Origin
from services.processor.mail.sources.graph import GraphMailbox
from services.processor.mail.state import RECONCILIATION, UPDATED, ReportedChange
from services.processor.mail.store import messages
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.provider_http import JSON
from services.processor.mailbox.store import mailboxes

logger = structlog.get_logger(__name__)


def are_enough(context: MailboxContext, item: item_pb2.InboxItem) -> bool:
    """Return whether a listing of the changes is enough: for one by schedule, some hours after a complete round."""
    last, mailbox = context.mailbox.last_reconciled_at, context.mailbox
    is_recent = last is not None and context.clock.now() - last < timedelta(seconds=context.settings.reconcile_seconds)
    is_scheduled = item.reconcile.reason == item_pb2.RECONCILE_REASON_SCHEDULE
    is_pushed = not all(watch.is_polled for watch in context.lease.watches)
    return (
        is_scheduled and is_pushed and is_recent and context.coverage.is_all_mail and mailbox.caught_up_at is not None
    )


async def read_changes(context: MailboxContext, graph: GraphMailbox, item: item_pb2.InboxItem) -> bool:
    """Fetch the messages that were changed since every older change was committed, for a bounded time.

    Returns:
        False when there are too many for the time, or the listing alone is refused; pages that were read are committed.

    Raises:
        SourceError: A failure of the whole mailbox.
    """
    try:
        return await _read(context, graph, item)
    except SourceError as exc:
        await graph.scope.check(exc)
        logger.warning("changes not listed", tenant_id=context.tenant_id, error=exc.reason, detail=exc.detail)
        return False


async def _read(context: MailboxContext, graph: GraphMailbox, item: item_pb2.InboxItem) -> bool:
    deadline, began_at = time.monotonic() + context.settings.slice_seconds, context.clock.now()
    assert context.mailbox.caught_up_at is not None  # noqa: S101 - `are_enough` has looked
    since = context.mailbox.caught_up_at - timedelta(seconds=context.settings.overlap_seconds)
    origin, link = Origin.of(item, RECONCILIATION), ""
    while True:
        page = await graph.changed_since(since, link, context.settings.page_size)
        await _process_page(context, graph, page.entries, origin)
        if page.is_last:
            await catch_up(context, began_at)
            return True
        if time.monotonic() > deadline:
            return False
        link = page.link


async def catch_up(context: MailboxContext, at: datetime) -> None:
    """Store the time up to which every change is committed."""

    async def note(connection: db.Connection) -> None:
        await mailboxes.set_caught_up(connection, context.tenant_id, at)

    await context.note(note)


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
