"""Invitations: the commit of a mail that invites to an event stores the mail's thread under the event's UID."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.calendar.v1 import event_pb2 as entry_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.message.invitations import uid_digest
from services.processor.calendar.decide import UPDATED
from services.processor.calendar.ledger import event_of
from services.processor.calendar.rows import CalendarRow, Phase, State
from services.processor.calendar.store import calendars, events, invitations
from services.processor.stream.publish import EventDraft

KEPT = timedelta(days=90)
"""The time for which an invitation without a stored event is kept: the event may be read that much later."""
_MOST_EVENTS = 50
"""Stored events of one invitation that are announced: an account has one, and a calendar that it shares another."""
_EXPIRED_AT_ONCE = 500
_FIELD = "conversation_id"


async def invited(
    connection: db.Connection, tenant: tenant_pb2.Tenant, threads: Mapping[str, str], now: datetime
) -> list[EventDraft]:
    """Store the threads of mails that invite to events, as a part of the mails' commit. Safe to call again.

    Args:
        connection: A connection in a transaction that holds the fence of the tenant's mailbox.
        tenant: The tenant.
        threads: The threads by the UID of the event.
        now: The time.

    Returns:
        The updates of events that were stored before, to be published in the same transaction.
    """
    given = {digest: thread for uid, thread in threads.items() if (digest := uid_digest(uid))}
    new = await invitations.add(connection, tenant.tenant_id, given, now + KEPT)
    drafts = []
    for calendar_id in await events.calendars_of(connection, tenant.tenant_id, new):
        row = await calendars.by_id(connection, calendar_id, [tenant.tenant_id], lock=True)
        if row is None or row.state is not State.FOLLOWED or row.phase is Phase.CLEAR:
            continue  # its events are not announced
        for event, revision in await events.linked(connection, calendar_id, new, _MOST_EVENTS):
            event.conversation_id = given[uid_digest(event.ical_uid)]
            drafts.append(_draft(tenant, row, event, revision, now))
    return drafts


class InvitationRetention:
    """Runs rounds of deleting old invitations; for a periodic loop of the server process.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def round(self) -> int:
        """Run one round; return the number of deleted invitations. Safe to call again and concurrently."""
        now = self._clock.now()
        async with db.connection(self._pool) as connection:
            return await invitations.expire(connection, now, now + KEPT, _EXPIRED_AT_ONCE)


def _draft(
    tenant: tenant_pb2.Tenant, row: CalendarRow, event: event_pb2.CalendarEvent, revision: int, now: datetime
) -> EventDraft:
    entry = event_of(row, UPDATED, now, tenant.external_tenant_id, tenant.user_id)
    entry.event.CopyFrom(event)
    entry.change.CopyFrom(entry_pb2.CalendarChange(fields=[_FIELD]))
    return EventDraft(calendar_event=entry, change_id=f"{row.follows}:{event.calendar_event_id}:{revision}")
