"""The commits of a worker, each one fenced transaction: versions of events, the cursor, entries of the stream."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from mailmesh.calendar.v1 import event_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.processor.calendar.conversations import add_conversations
from services.processor.calendar.decide import Decision, decide
from services.processor.calendar.mapping.fields import text, timestamp
from services.processor.calendar.own import OwnWrites, ids_of
from services.processor.calendar.rows import CalendarRow, Phase, SeenEvent, State, StoredEvent
from services.processor.calendar.store import calendars, events, staged, unread, writes
from services.processor.calendar.store.staged import StagedEvent
from services.processor.mailbox.provider_http import JSON
from services.processor.mailbox.transaction import Transactions
from services.processor.metrics import CALENDAR_UNREAD, EVENTS
from services.processor.stream.publish import EventDraft, publish

CONNECTED = "calendar.connected"
WITHDRAWN = "calendar.withdrawn"
_DELETED_KEPT = timedelta(days=30)
"""The time for which the last version of a deleted event is kept."""


class CalendarChangedError(Exception):
    """A caller followed or unfollowed the calendar meanwhile: what was read of it is stale."""


class CalendarLedger:
    """Commits for one tenant.

    Args:
        transactions: The process's fenced transactions.
        tenant: The tenant.
        fence: The fence of the lease.
        clock: The time.
    """

    def __init__(self, transactions: Transactions, tenant: tenant_pb2.Tenant, fence: int, clock: Clock) -> None:
        self._transactions = transactions
        self._tenant = tenant
        self._fence = fence
        self._clock = clock

    async def commit(
        self,
        row: CalendarRow,
        seen: Sequence[SeenEvent],
        values: Mapping[str, Any],
        *,
        connects: bool = False,
        merged: Sequence[str] = (),
    ) -> CalendarRow:
        """Commit the present versions of events and the calendar's progress; publish what changed.

        Args:
            row: The calendar. While it is read for the first time, nothing of its events is published.
            seen: The versions.
            values: The calendar's new values by column.
            connects: Whether the first reading is complete with this commit.
            merged: The stored entries of a complete round that are compared with this commit, by their series.

        Returns:
            The calendar as it is then.

        Raises:
            CalendarChangedError: The calendar was followed again or unfollowed.
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL cannot be reached or is too slow.
        """
        now = self._clock.now()
        async with self._transactions.fenced(self._tenant.tenant_id, self._fence) as connection:
            changed = await calendars.change(connection, row.calendar_id, row.follows, values)
            if changed is None:
                raise CalendarChangedError
            await staged.forget(connection, row.calendar_id, merged)
            decisions = await self._stored(connection, changed, seen, now)
            if "rounded_at" in values:
                await events.forget_deleted(connection, row.calendar_id, now - _DELETED_KEPT)
                await unread.forget_unlisted(connection, row.calendar_id, changed.round)
            drafts = [] if row.state is State.READING else await self._drafts(connection, changed, decisions, now)
            if connects:
                drafts.append(self._about(changed, CONNECTED, now))
            await publish(connection, drafts)
        self._count(drafts)
        return changed

    async def withdraw(self, row: CalendarRow, reason: str, detail: str) -> None:
        """Commit that a calendar cannot be read any more. Its events are deleted, and no deletion is published.

        Raises:
            CalendarChangedError: The calendar was followed again or unfollowed.
            FencedError: Another worker holds the mailbox.
        """
        now = self._clock.now()
        values = {"state": State.WITHDRAWN, "reason": reason, "detail": detail, "due_at": None, "failures": 0}
        async with self._transactions.fenced(self._tenant.tenant_id, self._fence) as connection:
            changed = await calendars.change(connection, row.calendar_id, row.follows, values)
            if changed is None:
                raise CalendarChangedError
            if not await events.forget(connection, row.calendar_id):
                changed = await calendars.change(connection, row.calendar_id, row.follows, {"phase": Phase.CLEAR})
                assert changed is not None  # noqa: S101 - it was changed above
            draft = self._about(changed, WITHDRAWN, now)
            await publish(connection, [draft])
        self._count([draft])

    async def clear(self, row: CalendarRow) -> CalendarRow:
        """Commit the deletion of some events of an earlier following.

        Returns:
            The calendar, in the phase in which its first reading begins when all are deleted.

        Raises:
            CalendarChangedError: The calendar was followed again or unfollowed.
            FencedError: Another worker holds the mailbox.
        """
        async with self._transactions.fenced(self._tenant.tenant_id, self._fence) as connection:
            is_empty = await events.forget(connection, row.calendar_id)
            phase = Phase.CHANGES if is_empty else Phase.CLEAR
            changed = await calendars.change(connection, row.calendar_id, row.follows, {"phase": phase})
            if changed is None:
                raise CalendarChangedError
        return changed

    async def stage(self, row: CalendarRow, entries: Sequence[JSON], values: Mapping[str, Any]) -> CalendarRow:
        """Commit the entries of a page of a complete round, and the calendar's progress. Nothing is published.

        Raises:
            CalendarChangedError: The calendar was followed again or unfollowed.
            FencedError: Another worker holds the mailbox.
        """
        found = {one.provider_event_id: one for one in map(staged_event, entries) if one.provider_event_id}
        async with self._transactions.fenced(self._tenant.tenant_id, self._fence) as connection:
            changed = await calendars.change(connection, row.calendar_id, row.follows, values)
            if changed is None:
                raise CalendarChangedError
            await staged.forget_old(connection, row.calendar_id, changed.round, events.AT_ONCE)
            await staged.save(connection, row.calendar_id, list(found.values()), changed.round)
        return changed

    async def staged(self, row: CalendarRow, limit: int) -> list[StagedEvent]:
        """Return the stored entries of some series and events of the last complete round."""
        async with self._transactions.reading() as connection:
            return await staged.some(connection, row.calendar_id, row.round, limit)

    async def known(self, row: CalendarRow, event_ids: Sequence[str]) -> dict[str, StoredEvent]:
        """Return stored events with their changed instances, by id."""
        async with self._transactions.reading() as connection:
            return await events.load(connection, row.calendar_id, event_ids)

    async def missing(self, row: CalendarRow, limit: int) -> list[str]:
        """Return the provider's ids of stored events that the last complete round did not list."""
        async with self._transactions.reading() as connection:
            found = await events.missing(connection, row.calendar_id, row.round, limit)
        return [event.provider_event_id for event in found]

    async def _stored(
        self, connection: db.Connection, row: CalendarRow, seen: Sequence[SeenEvent], now: datetime
    ) -> list[Decision]:
        known = await events.load(connection, row.calendar_id, [one.event_id for one in seen])
        await self._note_unread(connection, row, seen, now)
        # One that cannot be read stays as it is until it can be.
        same = {one.event_id: "" for one in seen if one.is_unread}
        decisions = []
        for one in {one.event_id: one for one in seen if not one.is_unread}.values():
            before = known.get(one.event_id)
            decision = decide(before, one)
            is_same = decision is not None and not decision.event_type and before is not None
            if is_same and before is not None and one.event is not None and before.event.version == one.event.version:
                same[one.event_id] = one.event.ical_uid
            elif decision is not None:
                decisions.append(decision)
        await events.touch(connection, same, row.round)
        await events.save(connection, row.calendar_id, [one.stored for one in decisions], row.round, now)
        return [one for one in decisions if one.event_type]

    async def _note_unread(
        self, connection: db.Connection, row: CalendarRow, seen: Sequence[SeenEvent], now: datetime
    ) -> None:
        await unread.save(connection, row.calendar_id, seen, row.round, now)
        for one in chain.from_iterable(each.unread for each in seen):
            CALENDAR_UNREAD.labels(self._tenant.provider, one.reason).inc()

    async def _drafts(
        self, connection: db.Connection, row: CalendarRow, decisions: Sequence[Decision], now: datetime
    ) -> list[EventDraft]:
        ids = ids_of(decisions)
        own = OwnWrites(await writes.of_events(connection, row.tenant_id, ids) if ids else ())
        drafts = [self._draft(row, one, now, own.write_of(one)) for one in decisions]
        entries = [one.calendar_event for one in drafts if one.calendar_event is not None]
        shown = [one.event for one in entries] + [each for one in entries for each in one.change.changed_instances]
        await add_conversations(connection, row.calendar_id, shown)
        return drafts

    def _draft(self, row: CalendarRow, decision: Decision, now: datetime, write_id: str) -> EventDraft:
        event = self._event(row, decision.event_type, now)
        event.event.CopyFrom(decision.stored.event)
        if write_id:
            event.source, event.calendar_write_id = mail_pb2.EVENT_SOURCE_COMMAND, write_id
        if decision.change is not None:
            event.change.CopyFrom(decision.change)
        name = f"{row.follows}:{decision.stored.event.calendar_event_id}:{decision.stored.revision}"
        return EventDraft(calendar_event=event, change_id=name)

    def _about(self, row: CalendarRow, event_type: str, now: datetime) -> EventDraft:
        return about_calendar(row, self._event(row, event_type, now))

    def _event(self, row: CalendarRow, event_type: str, now: datetime) -> event_pb2.NormalizedCalendarEvent:
        return event_of(row, event_type, now, self._tenant.external_tenant_id, self._tenant.user_id)

    def _count(self, drafts: Sequence[EventDraft]) -> None:
        for draft in drafts:
            if draft.calendar_event is not None:
                EVENTS.labels(self._tenant.provider, draft.calendar_event.event_type, "true").inc()


def staged_event(entry: JSON) -> StagedEvent:
    """Return an entry of a page in the form in which it waits for the end of its round."""
    provider_id = text(entry, "id")
    return StagedEvent(text(entry, "recurringEventId") or provider_id, provider_id, entry)


def event_of(
    row: CalendarRow, event_type: str, now: datetime, external_tenant_id: str, user_id: str
) -> event_pb2.NormalizedCalendarEvent:
    """Return an entry of the stream about a calendar, without an event of the calendar."""
    return event_pb2.NormalizedCalendarEvent(
        provider=row.info.provider,
        tenant_id=row.tenant_id,
        external_tenant_id=external_tenant_id,
        user_id=user_id,
        event_type=event_type,
        received_at=timestamp(now),
        correlation_id=correlation_id(),
        calendar=row.message(),
        source=mail_pb2.EVENT_SOURCE_RECONCILIATION,
    )


def about_calendar(row: CalendarRow, event: event_pb2.NormalizedCalendarEvent) -> EventDraft:
    """Return the draft of a change of the calendar itself: one of each type for each time that it is followed."""
    event.reason, event.detail = row.reason, row.detail
    return EventDraft(calendar_event=event, change_id=f"{row.calendar_id}:{row.follows}")
