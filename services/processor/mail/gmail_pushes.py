"""Process the pushes of a Google mailbox: read history up to the pushed id, and acknowledge what it reached."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.meshkit.ids import new_id
from services.processor.mail.context import MailboxContext
from services.processor.mail.gmail_compare import compare
from services.processor.mail.gmail_history import read_history
from services.processor.mail.gmail_reconcile import reconcile_by_time
from services.processor.mail.gmail_resync import TimeReconciliation, keep
from services.processor.mail.origin import Origin
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mail.state import NOTIFICATION
from services.processor.mailbox.inbox_client import ReturnedItem
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.mailbox.store import row_changes

_ATTEMPTS_AHEAD = 4
"""A due read that fails is tried again after the pause that follows this many failures."""


async def process_pushes(context: MailboxContext, gmail: GmailMailbox, items: Sequence[item_pb2.InboxItem]) -> None:
    """Read history to its end, and acknowledge the pushes that it reached.

    Raises:
        SourceError: A failure of the whole mailbox; the cursor is at the last commit before it.
    """
    # A push that is not above the cursor is read too: its record may come late, or the mailbox's history began again.
    reached = await _read(context, gmail, Origin.of(items[0], NOTIFICATION))
    if reached is None:  # the reconciliation is stored and continues by itself
        reached = max(item.mailbox_changed.history_id for item in items)
    await context.lease.acknowledge(item.item_id for item in items if item.mailbox_changed.history_id <= reached)
    late = [item for item in items if item.mailbox_changed.history_id > reached]
    await _wait_for_history(context, late)


async def process_due(context: MailboxContext, gmail: GmailMailbox) -> None:
    """Continue a comparison that is due, and read history again when a claim has to be confirmed without a push.

    Raises:
        SourceError: A failure of the whole mailbox; the work is tried again later.
    """
    now = context.clock.now()
    origin = Origin(NOTIFICATION, now, new_id())
    state = TimeReconciliation.of(context.mailbox.resync)
    if state is not None and _is_due(context.mailbox.resync_due_at, now):
        await keep(context, state)
        if state.is_cursor_missing:
            await reconcile_by_time(context, gmail, origin)
        else:
            await compare(context, gmail, origin, time.monotonic() + context.settings.slice_seconds)
    if _is_due(context.mailbox.history_due_at, now):
        await put_off_history(context, RetryPolicy.from_settings(context.settings, now).after(_ATTEMPTS_AHEAD))
        await _read(context, gmail, origin)


def _is_due(due_at: datetime | None, now: datetime) -> bool:
    return due_at is not None and due_at <= now


async def _read(context: MailboxContext, gmail: GmailMailbox, origin: Origin) -> int | None:
    """Read history, or reconcile by time when the cursor is lost.

    Returns:
        The history id that was reached; None when a reconciliation has to continue first.
    """
    reached = await read_history(context, gmail, origin)
    return await reconcile_by_time(context, gmail, origin) if reached is None else reached


async def stop(context: MailboxContext) -> None:
    """End what is due without an item: no label is watched."""
    await put_off_history(context, None)
    if context.mailbox.resync_due_at is not None:
        await keep(context, None)


async def put_off_history(context: MailboxContext, until: datetime | None) -> None:
    """Store when history is read again without a push; None when it is not, because no label is watched."""
    if context.mailbox.history_due_at is None:
        return
    await context.change(row_changes.history_due(until))
    context.mailbox = replace(context.mailbox, history_due_at=until)


async def _wait_for_history(context: MailboxContext, late: Sequence[item_pb2.InboxItem]) -> None:
    """Release the pushes that run ahead of history; bury one that stays ahead, and reconcile the gap."""
    waits = RetryPolicy.from_settings(context.settings, context.clock.now())
    detail = "Gmail's history has not reached the history id of the push"
    lost = [item for item in late if item.attempts >= context.settings.bury_attempts]
    await context.lease.bury([ReturnedItem(item.item_id, "PROVIDER_UNAVAILABLE", detail) for item in lost])
    await context.lease.release(
        [
            ReturnedItem(item.item_id, "PROVIDER_UNAVAILABLE", detail, waits.after(item.attempts - 1))
            for item in late
            if item not in lost
        ]
    )
