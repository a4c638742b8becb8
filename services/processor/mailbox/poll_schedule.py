"""The schedule of reconciliations: polled mailboxes, mailboxes in use, idle ones."""

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.processor.mailbox.inbox_client import InboxClient
from services.processor.mailbox.intervals import Intervals
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.transaction import Transactions
from services.processor.settings import ProcessorSettings

_AT_ONCE = 200


class PollSchedule:
    """Puts due reconciliations into the inbox. Any number of processes may do so at the same time.

    Args:
        transactions: The process's connections.
        inbox: The client of the inbox.
        settings: The intervals.
    """

    def __init__(self, transactions: Transactions, inbox: InboxClient, settings: ProcessorSettings) -> None:
        self._transactions = transactions
        self._inbox = inbox
        self._intervals = Intervals.of(settings)

    async def round(self) -> int:
        """Take the due reconciliations and enqueue them. A crash in between skips one turn; the next one follows.

        Returns:
            The number of reconciliations that were due.

        Raises:
            MeshError: PostgreSQL or Ingest cannot be reached.
        """
        async with self._transactions.reading() as connection:
            # Every time, by an index: a process with a longer interval may have put reconciliations off meanwhile.
            await mailboxes.bound_due(connection, self._intervals.longest)
            due = await mailboxes.take_due(connection, self._intervals, _AT_ONCE)
        for tenant_id, _ in due:
            await self._inbox.enqueue_reconcile(tenant_id, item_pb2.RECONCILE_REASON_SCHEDULE)
        return len(due)
