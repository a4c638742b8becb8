"""Count the meetings of followed calendars by day and by kind of online meeting: each instance of a series is one."""

import time as clock
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.processor.calendar.errors import CalendarNotFollowed, CalendarNotFound, CalendarWindowTooLarge
from services.processor.calendar.mapping.zones import UTC_ZONE, zone_info
from services.processor.calendar.pushes import MOST_CALENDARS
from services.processor.calendar.reading import CalendarReader, EventsPage, Place, Window
from services.processor.calendar.rows import IN_USE, CalendarRow
from services.processor.calendar.store import calendars
from services.processor.errors import TenantNotFound
from services.processor.stream.store import tenants

MAX_SECONDS = 8.0
"""The longest time of one count."""
_READ_AT_ONCE = 1000
_FARTHEST_FROM_UTC = timedelta(hours=14)
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
DayAndKind = tuple[str, str]
"""A local day, and the provider's name of the kind of online meeting; empty for meetings without one."""


class MeetingCounter:
    """Counts meetings.

    Args:
        pool: Connections to PostgreSQL.
        reader: Reads the events of calendars.
        seconds: See `MAX_SECONDS`.
    """

    def __init__(self, pool: db.Pool, reader: CalendarReader, seconds: float = MAX_SECONDS) -> None:
        self._pool = pool
        self._reader = reader
        self._seconds = seconds

    async def count(
        self, tenant_id: str, calendar_id: str, window: Window, zone: ZoneInfo, *, is_in_scope: bool
    ) -> Counter[DayAndKind]:
        """Count the meetings that begin in a window and are not cancelled.

        Args:
            tenant_id: The tenant.
            calendar_id: One of its calendars; empty counts those of all that are followed.
            window: The window.
            zone: The time zone of the days.
            is_in_scope: Whether the caller may see the tenant.

        Raises:
            TenantNotFound: There is no such tenant in scope.
            CalendarNotFound: The tenant has no such calendar.
            CalendarNotFollowed: It is not followed.
            CalendarWindowTooLarge: The window takes too much work.
        """
        counted, until = Counter[DayAndKind](), clock.monotonic() + self._seconds
        for row in await self._chosen(tenant_id, calendar_id, is_in_scope=is_in_scope):
            counted += await self._of(row, window, zone, until)
        return counted

    async def of_calendar(self, row: CalendarRow, window: Window, zone: ZoneInfo) -> Counter[DayAndKind]:
        """Count the meetings of one followed calendar; see `count`.

        Raises:
            CalendarWindowTooLarge: The window takes too much work.
        """
        return await self._of(row, window, zone, clock.monotonic() + self._seconds)

    async def _chosen(self, tenant_id: str, calendar_id: str, *, is_in_scope: bool) -> Sequence[CalendarRow]:
        async with db.connection(self._pool) as connection:
            if not is_in_scope or not await tenants.status(connection, tenant_id):
                raise TenantNotFound.of(tenant_id)
            if not calendar_id:
                return await calendars.followed(connection, tenant_id, MOST_CALENDARS)
            row = await calendars.by_id(connection, calendar_id, [tenant_id])
        if row is None:
            raise CalendarNotFound(resource=calendar_id, metadata={"calendar_id": calendar_id})
        if row.state not in IN_USE:
            raise CalendarNotFollowed(subject=calendar_id, metadata={"calendar_id": calendar_id})
        return [row]

    async def _of(self, row: CalendarRow, window: Window, zone: ZoneInfo, until: float) -> Counter[DayAndKind]:
        counted = Counter[DayAndKind]()
        place: Place | None = Place()
        read = _widened(window)
        while place is not None:
            if clock.monotonic() > until:
                raise CalendarWindowTooLarge(subject=row.calendar_id, metadata={"calendar_id": row.calendar_id})
            page = await self._page(row, read, place)
            if page is None:
                break  # it was unfollowed meanwhile
            counted.update(_day_and_kind(one, zone) for one in page.events if _counts(one, window, zone))
            place = page.next
        return counted

    async def _page(self, row: CalendarRow, window: Window, place: Place) -> EventsPage | None:
        scope = [row.tenant_id]
        try:
            return await self._reader.page(row.calendar_id, scope, window, place, _READ_AT_ONCE, is_expanded=True)
        except (CalendarNotFound, CalendarNotFollowed):
            return None


def days_zone(name: str) -> ZoneInfo:
    """Return the time zone of days; UTC for an empty name.

    Raises:
        FieldInvalid: There is no such IANA zone.
    """
    try:
        return zone_info(name or UTC_ZONE)
    except ValueError as exc:
        raise FieldInvalid.of("time_zone", "must be an IANA time zone such as Europe/Berlin") from exc


def _widened(window: Window) -> Window:
    """Return the window in which whole-day events, which are stored by their days in UTC, are read for any zone."""
    return Window(
        max(window.begin, _EARLIEST + _FARTHEST_FROM_UTC) - _FARTHEST_FROM_UTC,
        min(window.end, _LATEST - _FARTHEST_FROM_UTC) + _FARTHEST_FROM_UTC,
    )


def _counts(event: event_pb2.CalendarEvent, window: Window, zone: ZoneInfo) -> bool:
    return window.begin <= _begin(event, zone) < window.end and event.status != event_pb2.EVENT_STATUS_CANCELLED


def _begin(event: event_pb2.CalendarEvent, zone: ZoneInfo) -> datetime:
    """Return when an event begins; a whole-day event begins with its day in the zone."""
    if event.start.date:
        return datetime.combine(date.fromisoformat(event.start.date), time(), zone)
    return event.start.instant.ToDatetime(UTC)


def _day_and_kind(event: event_pb2.CalendarEvent, zone: ZoneInfo) -> DayAndKind:
    day = event.start.date or _begin(event, zone).astimezone(zone).date().isoformat()
    return day, event.online_meeting.provider if event.HasField("online_meeting") else ""
