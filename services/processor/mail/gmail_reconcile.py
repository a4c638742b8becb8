"""Reconcile a Google mailbox: by history, and by time when Gmail no longer knows the cursor."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.processor.mail.context import MailboxContext
from services.processor.mail.gmail_compare import compare, list_recent
from services.processor.mail.gmail_history import read_history
from services.processor.mail.gmail_resync import TimeReconciliation, keep
from services.processor.mail.origin import Origin
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mail.state import RECONCILIATION
from services.processor.mail.store import messages
from services.processor.mailbox.store import row_changes

logger = structlog.get_logger(__name__)


async def reconcile(context: MailboxContext, gmail: GmailMailbox, item: item_pb2.InboxItem) -> bool:
    """Reconcile the mailbox, for a bounded time.

    Returns:
        True when it is done, False when it has to continue later.

    Raises:
        SourceError: A failure of the whole mailbox.
    """
    origin = Origin.of(item, RECONCILIATION)
    asked = item.reconcile.since.ToDatetime(UTC) if item.reconcile.HasField("since") else None
    state = TimeReconciliation.of(context.mailbox.resync)
    if asked and state is not None and _covers(state, asked, item.received_at.ToDatetime(UTC)):
        return True
    is_readable = state is None or not state.is_cursor_missing
    if is_readable:
        # History has the changes of mail of any date; the list adds mail whose push or record was lost.
        is_known = await _reread(context, gmail, origin)
        if is_known and asked is None:
            return True
        asked = asked if is_known else None
    return await reconcile_by_time(context, gmail, origin, asked) is not None


def _covers(state: TimeReconciliation, since: datetime, requested_at: datetime) -> bool:
    """Return whether a comparison whose recent mail is listed answers a request: it began later and reaches as far."""
    return state.is_listed and state.since <= since and state.started_at >= requested_at


async def _reread(context: MailboxContext, gmail: GmailMailbox, origin: Origin) -> bool:
    """Read history again from the last reconciliation's cursor, for records that came later than they settle.

    Returns:
        False when Gmail does not know the cursor any more either.
    """
    anchor, cursor = context.mailbox.history_anchor, context.mailbox.history_id
    is_read = anchor is not None and cursor is not None and anchor < cursor
    if not (is_read and await read_history(context, gmail, origin, anchor)) and not await read_history(
        context, gmail, origin
    ):
        return False
    following = context.mailbox.history_id or 0
    await context.change(row_changes.history_anchor(following))
    context.mailbox = replace(context.mailbox, history_anchor=following)
    return True


async def reconcile_by_time(
    context: MailboxContext, gmail: GmailMailbox, origin: Origin, since: datetime | None = None
) -> int | None:
    """Reconcile by time: list the messages received since coverage began, or since the cursor was last at the end.

    The cursor is valid again when these are listed. The rest of the comparison continues behind live work.

    Returns:
        The history id that was reached at the end. None when it has to continue later.

    Raises:
        SourceError: A failure of the whole mailbox.
    """
    deadline = time.monotonic() + context.settings.slice_seconds
    state = TimeReconciliation.of(context.mailbox.resync)
    if state is None or not state.is_cursor_missing:
        state = await _begin(context, gmail, since, state)
    while not state.is_listed:
        state = await list_recent(context, gmail, state, origin)
        await keep(context, state)
        if not state.is_listed and time.monotonic() > deadline:
            await keep(context, state, context.clock.now())
            return None
    if state.lost or context.mailbox.history_id is None:
        await _set_cursor(context, state.target)
    await compare(context, gmail, origin, deadline)
    return await read_history(context, gmail, origin)


async def _begin(
    context: MailboxContext, gmail: GmailMailbox, since: datetime | None, earlier: TimeReconciliation | None
) -> TimeReconciliation:
    """Read the history id first: changes during the listing are in the history after it."""
    now, mailbox = context.clock.now(), context.mailbox
    target = await gmail.present_history_id()
    overlap = timedelta(seconds=context.settings.overlap_seconds)
    covered = mailbox.covered_from or now
    begin = since or (max(covered, mailbox.caught_up_at - overlap) if mailbox.caught_up_at else covered)
    state = TimeReconciliation(target, begin, now, lost=0 if since else mailbox.history_id or 0)
    if earlier is not None:  # a comparison that is not done yet: the new one covers its time, too
        lost = min(filter(None, (earlier.lost, state.lost)), default=0)
        state = replace(state, since=min(begin, earlier.since), lost=lost, is_cut=earlier.is_cut)
    if state.lost:
        async with context.transactions.reading() as connection:
            state = replace(state, first_id=await messages.first_since(connection, context.tenant_id, covered))
    await keep(context, state)
    logger.info("reconciling by time", tenant_id=context.tenant_id, since=state.since.isoformat())
    return state


async def _set_cursor(context: MailboxContext, target: int) -> None:
    """Make the history id from before the listing the cursor, even a lower one: live mail continues from it."""
    await context.change(row_changes.history_restarted(target))
    context.mailbox = replace(
        context.mailbox,
        history_id=target,
        history_claim=None,
        history_claimed_at=None,
        history_due_at=None,
        history_anchor=target,
        cursor_refusals=0,
    )
