"""Process the pushes of a Google mailbox: read history up to the pushed id, and acknowledge what it reached."""

from collections.abc import Sequence

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.processor.mail.context import MailboxContext
from services.processor.mail.gmail_history import read_history
from services.processor.mail.gmail_reconcile import reconcile_by_time
from services.processor.mail.origin import Origin
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mail.state import NOTIFICATION
from services.processor.mailbox.inbox_client import ReturnedItem
from services.processor.mailbox.retry_policy import RetryPolicy


async def process_pushes(context: MailboxContext, gmail: GmailMailbox, items: Sequence[item_pb2.InboxItem]) -> None:
    """Read history to its end, and acknowledge the pushes that it reached.

    Raises:
        SourceError: A failure of the whole mailbox; the cursor is at the last commit before it.
    """
    wanted = max(item.mailbox_changed.history_id for item in items)
    if (context.mailbox.history_id or 0) < wanted and not await read_history(
        context, gmail, Origin.of(items[0], NOTIFICATION)
    ):
        await reconcile_by_time(context, gmail, Origin.of(items[0], NOTIFICATION))
    cursor = context.mailbox.history_id or 0
    await context.lease.acknowledge(item.item_id for item in items if item.mailbox_changed.history_id <= cursor)
    late = [item for item in items if item.mailbox_changed.history_id > cursor]
    await _wait_for_history(context, late)


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
