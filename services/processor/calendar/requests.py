"""The use cases of callers: list an account's calendars, follow and unfollow one, read events and instances."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.queue import WakeQueue
from services.processor.calendar.conversations import add_conversations
from services.processor.calendar.errors import CalendarNotFound, CalendarProviderUnsupported, CalendarsNotRead
from services.processor.calendar.ledger import WITHDRAWN, about_calendar, event_of
from services.processor.calendar.rows import CalendarRow, Phase, State
from services.processor.calendar.store import calendars
from services.processor.calendar.store import events as stored_events
from services.processor.calendar.store.calendars import ListRow
from services.processor.errors import AbilityNotGranted, TenantNotFound
from services.processor.stream.publish import publish
from services.processor.stream.store import tenants
from services.providers.abilities import CALENDAR_READ, connect_command
from services.providers.names import GOOGLEWS, MS365

WAKE_PREFIX = "calendar:"
"""The beginning of the keys by which workers are woken for due calendars."""
UNFOLLOWED = "CALENDAR_UNFOLLOWED"
_FRESH = timedelta(seconds=60)
_WAIT_SECONDS = 8.0
_STEP_SECONDS = 0.1


@dataclass(frozen=True)
class ListedCalendars:
    """A page of an account's calendars.

    Args:
        rows: The calendars.
        has_more: Whether more follow.
        read_at: When the list was last read.
    """

    rows: list[CalendarRow]
    has_more: bool
    read_at: datetime


class Calendars:
    """The calendars of tenants for callers.

    Args:
        pool: Connections to PostgreSQL.
        wakes: Wakes a worker when a calendar is due.
        clock: The time.
        wait_seconds: The longest wait for a worker that reads a list.
    """

    def __init__(self, pool: db.Pool, wakes: WakeQueue, clock: Clock, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._pool = pool
        self._wakes = wakes
        self._clock = clock
        self._wait_seconds = wait_seconds

    async def page(self, tenant_id: str, after: str | None, limit: int, *, is_in_scope: bool) -> ListedCalendars:
        """Read a page of a tenant's calendars; on the first page the list is at most a minute old.

        Raises:
            TenantNotFound: There is no such tenant in scope.
            AbilityNotGranted: It has not granted the reading of calendars.
            CalendarProviderUnsupported: Its provider has no calendars that this version reads.
            CalendarsNotRead: No worker has read the list yet.
        """
        async with db.connection(self._pool) as connection:
            await _check_tenant(connection, tenant_id, is_in_scope=is_in_scope)
        read_at = await self._read_at(tenant_id, is_first=after is None)
        async with db.connection(self._pool) as connection:
            rows = await calendars.page(connection, tenant_id, after, limit + 1)
        return ListedCalendars(rows[:limit], len(rows) > limit, read_at)

    async def follow(self, calendar_id: str, scope: list[str] | None) -> CalendarRow:
        """Begin to follow a calendar. Safe to call again: a followed one stays as it is.

        Raises:
            CalendarNotFound: There is no such calendar in scope, or the account does not have it any more.
            AbilityNotGranted: The tenant has not granted the reading of calendars.
        """
        async with db.transaction(self._pool) as connection:
            row = _found(calendar_id, await calendars.by_id(connection, calendar_id, scope, lock=True))
            await _check_tenant(connection, row.tenant_id, is_in_scope=True)
            if row.state in (State.READING, State.FOLLOWED):
                return row
            if not row.is_listed:
                raise CalendarNotFound(resource=calendar_id, metadata={"calendar_id": calendar_id})
            now = self._clock.now()
            values = {
                **_FRESH_START,
                "state": State.READING,
                "follows": row.follows + 1,
                "followed_at": now,
                "due_at": now,
            }
            if not await stored_events.forget(connection, calendar_id):
                values["phase"] = Phase.CLEAR
            await calendars.request_list(connection, row.tenant_id)
            row = _changed(await calendars.change(connection, calendar_id, row.follows, values))
        self._wakes.wake(f"{WAKE_PREFIX}{row.tenant_id}")
        return row

    async def unfollow(self, calendar_id: str, scope: list[str] | None) -> CalendarRow:
        """End the following of a calendar, and delete its stored events. Safe to call again.

        Raises:
            CalendarNotFound: There is no such calendar in scope.
        """
        async with db.transaction(self._pool) as connection:
            row = _found(calendar_id, await calendars.by_id(connection, calendar_id, scope, lock=True))
            if row.state not in (State.READING, State.FOLLOWED):
                return row
            # The number of the following changes, so that a worker that is reading the calendar commits nothing more.
            values = {**_FRESH_START, "state": State.AVAILABLE, "follows": row.follows + 1, "followed_at": None}
            if not await stored_events.forget(connection, calendar_id):
                values["phase"] = Phase.CLEAR
            changed = _changed(await calendars.change(connection, calendar_id, row.follows, {**values, "due_at": None}))
            organisation, user = await tenants.account_of(connection, row.tenant_id)
            event = event_of(changed, WITHDRAWN, self._clock.now(), organisation, user)
            draft = about_calendar(changed, event)
            event.reason = UNFOLLOWED
            await publish(connection, [draft])
            # The worker that reads the list ends the calendar's subscription as well.
            await calendars.request_list(connection, row.tenant_id)
        self._wakes.wake(f"{WAKE_PREFIX}{row.tenant_id}")
        return changed

    async def event(self, event_id: str, scope: list[str] | None) -> event_pb2.CalendarEvent | None:
        """Read an event, series or changed instance in scope; None when there is none."""
        async with db.connection(self._pool) as connection:
            found = await stored_events.by_id(connection, event_id, scope)
            if found is not None:
                await add_conversations(connection, found.calendar_id, [found])
            return found

    async def _read_at(self, tenant_id: str, *, is_first: bool) -> datetime:
        """Return when the list was read, after waiting for a worker when it is old."""
        since = self._clock.now() - _FRESH
        async with db.connection(self._pool) as connection:
            found = await calendars.list_of(connection, tenant_id)
            is_old = found is None or found.read_at is None or (is_first and found.read_at < since)
            if is_old:
                await calendars.request_list(connection, tenant_id)
        if is_old:
            self._wakes.wake(f"{WAKE_PREFIX}{tenant_id}")
            return await self._awaited(tenant_id, since)
        assert found is not None  # noqa: S101 - it is not old
        assert found.read_at is not None  # noqa: S101 - the same
        return found.read_at

    async def _awaited(self, tenant_id: str, since: datetime) -> datetime:
        """Wait until a worker has read the list; an older list is better than none."""
        steps = max(1, round(self._wait_seconds / _STEP_SECONDS))
        found: ListRow | None = None
        for step in range(steps):
            async with db.connection(self._pool) as connection:
                found = await calendars.list_of(connection, tenant_id)
            if found is not None and found.read_at is not None and (found.read_at >= since or step == steps - 1):
                return found.read_at
            if found is not None and found.reason and found.read_at is None and step:
                break
            await asyncio.sleep(_STEP_SECONDS)
        cause = "" if found is None else found.reason
        raise CalendarsNotRead(metadata={"tenant_id": tenant_id, "cause": cause})


_FRESH_START = {
    "reason": "",
    "detail": "",
    "cursor": "",
    "phase": Phase.CHANGES,
    "is_listing": False,
    "failures": 0,
    "synced_at": None,
    "rounded_at": None,
    "is_pushed": False,
    "poll_reason": "",
    "poll_detail": "",
}


async def _check_tenant(connection: db.Connection, tenant_id: str, *, is_in_scope: bool) -> None:
    found = await tenants.granted(connection, tenant_id) if is_in_scope else None
    if found is None:
        raise TenantNotFound.of(tenant_id)
    provider, abilities = found
    if provider not in (MS365, GOOGLEWS):
        raise CalendarProviderUnsupported(subject=tenant_id, metadata={"provider": provider})
    if CALENDAR_READ not in abilities:
        command = connect_command(provider, tenant_id, (CALENDAR_READ,))
        metadata = {"ability": CALENDAR_READ, "tenant_id": tenant_id, "command": command}
        message = f"The tenant has not granted {CALENDAR_READ}. Connect its account again with this ability: {command}"
        raise AbilityNotGranted(message, subject=tenant_id, metadata=metadata)


def _found(calendar_id: str, row: CalendarRow | None) -> CalendarRow:
    if row is None:
        raise CalendarNotFound(resource=calendar_id, metadata={"calendar_id": calendar_id})
    return row


def _changed(row: CalendarRow | None) -> CalendarRow:
    assert row is not None  # noqa: S101 - the row is locked with the number that was expected
    return row
