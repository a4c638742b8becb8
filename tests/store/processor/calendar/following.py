"""Followed calendars in tests: the callers' use cases, and the entries of the stream about calendars."""

from datetime import UTC, datetime
from typing import Any

from mailmesh.calendar.v1 import event_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.clock import SystemClock
from services.processor.calendar.reading import CalendarReader, EventsPage, Place, Window
from services.processor.calendar.requests import Calendars
from services.processor.calendar.rows import CalendarRow, State
from tests.store.processor.ground import Ground, read_events

SCOPES = "openid profile email offline_access User.Read Mail.Read Calendars.Read Calendars.Read.Shared"
GOOGLE_SCOPES = (
    "openid email https://www.googleapis.com/auth/gmail.readonly"
    " https://www.googleapis.com/auth/calendar.calendarlist.readonly"
    " https://www.googleapis.com/auth/calendar.events.readonly"
)
HASTE = {"calendar_poll_seconds": 0.3, "calendar_list_seconds": 1.0, "calendar_listing_seconds": 0.3}
"""Settings of workers that poll oftener than real ones."""
WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
MONDAYS = {
    "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"},
    "range": {"type": "numbered", "startDate": "2026-11-30", "numberOfOccurrences": 5},
}
TIMES = {
    "start": "2026-11-30T14:00:00",
    "end": "2026-11-30T15:00:00",
    "originalStartTimeZone": "Eastern Standard Time",
    "originalEndTimeZone": "Eastern Standard Time",
}


class _SilentQueue:
    def wake(self, _key: str) -> None:
        """Send no wake-up: the worker finds due calendars by itself."""


class FollowedCalendar:
    """An account whose own calendar is followed.

    Args:
        ground: Everything except the worker.
        tenant: The tenant.
        provider_id: The provider's id of the calendar.
    """

    def __init__(self, ground: Ground, tenant: tenant_pb2.Tenant, provider_id: str) -> None:
        self.ground = ground
        self.tenant = tenant
        self.provider_id = provider_id
        self.calendars = Calendars(ground.processor, _SilentQueue(), SystemClock(), wait_seconds=60)  # type: ignore[arg-type]
        self.reader = CalendarReader(ground.processor)
        self.row: CalendarRow

    @classmethod
    async def of(cls, ground: Ground, provider: str = "ms365") -> "FollowedCalendar":
        """Add the account; its calendar is not followed yet."""
        tenant = await ground.tenant(provider)
        await ground.processor.execute(
            "UPDATE processor.tenants SET granted_abilities = $2 WHERE tenant_id = $1",
            tenant.tenant_id,
            ["mail.read", "calendar.read"],
        )
        ground.vault.scopes[tenant.tenant_id] = SCOPES if provider == "ms365" else GOOGLE_SCOPES
        return cls(ground, tenant, (await ground.control.calendars(tenant.address))[0]["id"])

    async def follow(self, provider_id: str = "") -> CalendarRow:
        """List the calendars, follow one, and wait until its first reading is complete."""
        found = await self.calendars.page(self.tenant.tenant_id, None, 100, is_in_scope=True)
        wanted = provider_id or self.provider_id
        (row,) = [row for row in found.rows if row.provider_calendar_id == wanted]
        self.row = await self.calendars.follow(row.calendar_id, None)
        await self.ground.until(self._is_followed, what="the calendar is followed")
        return self.row

    async def _is_followed(self) -> bool:
        found = await self.calendars.page(self.tenant.tenant_id, None, 100, is_in_scope=True)
        return any(row.calendar_id == self.row.calendar_id and row.state is State.FOLLOWED for row in found.rows)

    async def create(self, **fields: Any) -> dict[str, Any]:
        """Add an event at the provider."""
        return await self.ground.control.create_event(self.tenant.address, self.provider_id, **{**TIMES, **fields})

    async def told(self) -> list[event_pb2.NormalizedCalendarEvent]:
        """Read the entries of the stream about the tenant's calendars, in order."""
        return [
            event.calendar_event
            for event in await read_events(self.ground.processor)
            if event.WhichOneof("kind") == "calendar_event" and event.calendar_event.tenant_id == self.tenant.tenant_id
        ]

    async def types(self) -> list[str]:
        """Return the types of those entries without their common beginning."""
        return [event.event_type.removeprefix("calendar.") for event in await self.told()]

    async def awaited(self, *types: str) -> list[event_pb2.NormalizedCalendarEvent]:
        """Wait until the entries have these types, in this order, after the first one; return them."""
        wanted = ["connected", *types]

        async def is_there() -> bool:
            return len(await self.types()) >= len(wanted)

        await self.ground.until(is_there, what=f"the stream has {wanted}")
        assert wanted == await self.types()
        return (await self.told())[1:]

    async def page(self, *, is_expanded: bool = False, after: Place | None = None, limit: int = 100) -> EventsPage:
        """Read a page of the calendar's events."""
        place = after or Place()
        return await self.reader.page(self.row.calendar_id, None, WINDOW, place, limit, is_expanded=is_expanded)
