"""What work on subscriptions puts into the inbox: a first cursor, and comparisons."""

from datetime import datetime
from typing import cast

from mailmesh.ingest.v1.inbox_item_pb2 import MailboxWatched, ReconcileReason
from services.ingest.store import acceptance, mailboxes, reconciles
from services.ingest.store.connections import Connection
from services.ingest.store.items import Kind, NewItem
from services.ingest.subscriptions.next_step import SubscriptionRow
from services.meshkit.correlation import correlation_id
from services.meshkit.ids import new_id
from services.meshkit.queue import WakeQueue
from services.meshkit.tracing import traceparent


class InboxWriter:
    """Puts items into the inbox, in transactions of those who know why.

    Args:
        wakes: Tells the workers.
    """

    def __init__(self, wakes: WakeQueue) -> None:
        self._wakes = wakes

    async def watched(
        self, connection: Connection, row: SubscriptionRow, history_id: int | None, now: datetime
    ) -> None:
        """Puts in that a subscription began. A cursor that the mailbox has already is not moved by it.

        Args:
            connection: In the transaction that stores that it was made.
            row: The subscription.
            history_id: Gmail's first cursor; None elsewhere.
            now: The time.
        """
        content = MailboxWatched(subscription_id=row.subscription_id, history_id=history_id or 0)
        content.covered_from.FromDatetime(row.covered_from)
        item_id = new_id()
        item = NewItem(
            item_id=item_id,
            tenant_id=row.tenant_id,
            kind=Kind.MAILBOX_WATCHED,
            content=content.SerializeToString(),
            received_at=now,
            key=item_id,
            correlation_id=correlation_id() or new_id(),
            traceparent=traceparent(),
        )
        await mailboxes.ensure(connection, row.tenant_id)
        await acceptance.accept_in(connection, [item])

    async def reconcile(self, connection: Connection, tenant_id: str, reason: int) -> None:
        """Puts in a comparison; one that waits already is not doubled.

        Args:
            connection: In a transaction.
            tenant_id: Whose mailbox.
            reason: A value of `ReconcileReason`.
        """
        await mailboxes.ensure(connection, tenant_id)
        await mailboxes.lock(connection, tenant_id)
        wanted = reconciles.ReconcileRequest(cast("ReconcileReason.ValueType", reason))
        await reconciles.enqueue(connection, tenant_id, wanted)

    def wake(self, tenant_id: str) -> None:
        """Tells the workers, behind the commit, that a tenant has something due."""
        self._wakes.wake(tenant_id)
