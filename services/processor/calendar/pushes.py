"""The pushes about calendars: their items make calendars due, and the followed calendars are stated to Ingest.

A push has no content. It makes its calendar due in the same transaction in which it is settled, so that a reading
begins after it; a lost push is found by the next poll.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from mailmesh.ingest.v1.inbox_service_pb2 import FollowedCalendar
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.processor.calendar.store import calendars
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.lease import Lease
from services.processor.mailbox.store.due_queues import DueQueue
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.work import HeldMailbox
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)

_CONTENT = "calendar_changed"
MOST_CALENDARS = 1000
"""The most calendars of an account."""


class CalendarPushes:
    """Settles the items about calendars; implements `mailbox.work.MailboxWork`.

    Args:
        transactions: The process's transactions.
        settings: The shortest time between two readings.
        clock: The time.
    """

    queues: Sequence[DueQueue] = ()

    def __init__(self, transactions: Transactions, settings: ProcessorSettings, clock: Clock) -> None:
        self._transactions = transactions
        self._pause = timedelta(seconds=settings.calendar_push_pause_seconds)
        self._clock = clock

    async def read_due(self, connection: db.Connection, tenant_id: str, due: Collection[str]) -> Sequence[None]:
        """See `MailboxWork.read_due`. The wing has no queue."""
        del connection, tenant_id, due
        return ()

    async def process(self, held: HeldMailbox, due: Sequence[None]) -> None:
        """See `MailboxWork.process`."""
        del due
        items = [item for item in held.lease.waiting if item.WhichOneof("content") == _CONTENT]
        if not items:
            return
        changed = {item.calendar_changed.calendar_id for item in items}
        tenant_id = held.lease.tenant_id
        async with self._transactions.fenced(tenant_id, held.lease.fence) as connection:
            named = sorted(changed - {""})
            await calendars.make_due(connection, tenant_id, named, self._clock.now(), self._pause)
            if "" in changed and await calendars.is_any_followed(connection, tenant_id):
                await calendars.request_list(connection, tenant_id)
        await held.lease.acknowledge(item.item_id for item in items)

    async def recover(self, held: HeldMailbox, due: Sequence[None], error: SourceError) -> None:
        """See `MailboxWork.recover`. An account may show its calendars without its mail."""
        del error
        await self.process(held, due)


def pushes_of(lease: Lease) -> Sequence[item_pb2.InboxItem]:
    """Return the items about calendars that a lease began with."""
    return [item for item in lease.claimed if item.WhichOneof("content") == _CONTENT]


@dataclass(frozen=True)
class StatedCalendars:
    """Ingest's knowledge of an account's followed calendars.

    Args:
        stated: The calendars that it knows as followed.
        pushed: Those of them whose changes the provider pushes.
    """

    stated: frozenset[str]
    pushed: frozenset[str]


async def state_followed(transactions: Transactions, lease: Lease, *, is_list_due: bool) -> StatedCalendars:
    """State to Ingest which calendars are followed, unless the lease shows that it knows, and store its answer.

    A failure is logged, and the answer has the calendars that Ingest knew before: the next reading of the list states
    them again. Safe to call again.

    Args:
        transactions: The process's transactions.
        lease: The lease on the mailbox.
        is_list_due: Whether the list of calendars is read now: callers see with it how the changes arrive.

    Raises:
        FencedError: Another worker holds the mailbox.
    """
    async with transactions.reading() as connection:
        rows = await calendars.followed(connection, lease.tenant_id, MOST_CALENDARS)
    stated = frozenset(watch.calendar_id for watch in lease.calendar_watches)
    wanted = frozenset(row.calendar_id for row in rows)
    if stated != wanted or (is_list_due and wanted):
        followed = [
            FollowedCalendar(
                calendar_id=row.calendar_id,
                provider_calendar_id=row.provider_calendar_id,
                is_default=row.info.is_default,
            )
            for row in rows
        ]
        try:
            deliveries = await lease.set_followed_calendars(followed)
            stated = wanted
            async with transactions.fenced(lease.tenant_id, lease.fence) as connection:
                await calendars.delivered(connection, lease.tenant_id, deliveries)
        except MeshError as exc:
            logger.warning("followed calendars not stated", tenant_id=lease.tenant_id, reason=exc.reason)
    return StatedCalendars(stated, frozenset(watch.calendar_id for watch in lease.calendar_watches if watch.is_pushed))
