"""The slow schedule: every watched mailbox is compared now and then, one without pushes often."""

from datetime import timedelta

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.processor.mailbox.inbox_client import InboxClient
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.transaction import Transactions
from services.processor.settings import ProcessorSettings

_AT_ONCE = 50


class PollSchedule:
    """Puts due comparisons into the inbox. Any number of processes may do so at the same time.

    Args:
        transactions: The process's connections.
        inbox: Where the work goes.
        settings: How often.
    """

    def __init__(self, transactions: Transactions, inbox: InboxClient, settings: ProcessorSettings) -> None:
        self._transactions = transactions
        self._inbox = inbox
        self._poll = timedelta(seconds=settings.poll_seconds)
        self._other = timedelta(seconds=settings.reconcile_seconds)

    async def round(self) -> int:
        """Takes what is due and enqueues it. A crash in between costs one turn, the next one comes by itself.

        Returns:
            How many were due.

        Raises:
            MeshError: The store or Ingest is away.
        """
        async with self._transactions.reading() as connection:
            due = await mailboxes.take_due(connection, self._poll, self._other, _AT_ONCE)
        for tenant_id, _ in due:
            await self._inbox.enqueue_reconcile(tenant_id, item_pb2.RECONCILE_REASON_SCHEDULE)
        return len(due)
