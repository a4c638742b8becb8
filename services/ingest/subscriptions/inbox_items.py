"""The items that subscriptions put into the inbox: the first cursor of a mailbox, and reconciliations."""

from datetime import datetime
from typing import cast

from mailmesh.ingest.v1.inbox_item_pb2 import CalendarChanged, MailboxWatched, ReconcileReason
from services.ingest.store import items, mailboxes, reconciles
from services.ingest.store.subscription_rows import SubscriptionRow
from services.meshkit import db
from services.meshkit.correlation import correlation_id
from services.meshkit.ids import new_id
from services.meshkit.tracing import traceparent


async def enqueue_watched(
    connection: db.Connection, row: SubscriptionRow, history_id: int | None, now: datetime
) -> None:
    """Enqueue that a subscription began. It does not move a cursor that the mailbox already has.

    Args:
        connection: In the transaction that stores the subscription as active.
        row: The subscription.
        history_id: Gmail's first cursor; None elsewhere.
        now: The time.
    """
    content = MailboxWatched(subscription_id=row.subscription_id, history_id=history_id or 0)
    content.covered_from.FromDatetime(row.covered_from)
    await _enqueue(connection, row.tenant_id, items.Kind.MAILBOX_WATCHED, content.SerializeToString(), now)


async def enqueue_calendar_changed(connection: db.Connection, tenant_id: str, calendar_id: str, now: datetime) -> None:
    """Enqueue that a followed calendar is to be read.

    Args:
        connection: In a transaction.
        tenant_id: The tenant.
        calendar_id: mailmesh's id of the calendar; empty for the list of calendars.
        now: The time.
    """
    content = CalendarChanged(calendar_id=calendar_id).SerializeToString()
    await _enqueue(connection, tenant_id, items.Kind.CALENDAR_CHANGED, content, now)


async def enqueue_news(connection: db.Connection, row: SubscriptionRow, reason: int | None, now: datetime) -> None:
    """Enqueue that changes of a subscription's resource may have been missed.

    Args:
        connection: In a transaction.
        row: The subscription.
        reason: A value of `ReconcileReason`; None enqueues nothing.
        now: The time.
    """
    if reason is None:
        return
    if row.is_of_mail:
        await enqueue_reconcile(connection, row.tenant_id, reason)
    else:
        await enqueue_calendar_changed(connection, row.tenant_id, row.calendar_id, now)


async def enqueue_reconcile(connection: db.Connection, tenant_id: str, reason: int) -> None:
    """Enqueue a reconciliation. One that is already pending is not duplicated.

    Args:
        connection: In a transaction.
        tenant_id: The mailbox's tenant.
        reason: A value of `ReconcileReason`.
    """
    await mailboxes.ensure(connection, tenant_id)
    await mailboxes.lock(connection, tenant_id)
    wanted = reconciles.ReconcileRequest(cast("ReconcileReason.ValueType", reason))
    await reconciles.enqueue(connection, tenant_id, wanted)


async def _enqueue(connection: db.Connection, tenant_id: str, kind: items.Kind, content: bytes, now: datetime) -> None:
    item_id = new_id()
    item = items.NewItem(
        item_id=item_id,
        tenant_id=tenant_id,
        kind=kind,
        content=content,
        received_at=now,
        key=item_id,
        correlation_id=correlation_id() or new_id(),
        traceparent=traceparent(),
    )
    await mailboxes.ensure(connection, tenant_id)
    await items.accept_in_transaction(connection, [item])
