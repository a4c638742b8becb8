"""Meetings in tests: an organizer of the same provider who invites an account that lets mailmesh write."""

from typing import Any

from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.write_rows import WriteRow
from tests.store.processor.calendar.test_writes import Writer
from tests.store.processor.ground import Ground

TIMES: dict[str, dict[str, Any]] = {
    "ms365": {"subject": "Plan", "start": "2026-11-30T14:00:00", "end": "2026-11-30T15:00:00"},
    "googlews": {
        "summary": "Plan",
        "start": {"dateTime": "2026-11-30T14:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-11-30T15:00:00+01:00", "timeZone": "Europe/Berlin"},
    },
}


def attendees(provider: str, *addresses: str) -> dict[str, Any]:
    """Return the field of attendees in the provider's form."""
    if provider == "googlews":
        return {"attendees": [{"email": one} for one in addresses]}
    return {"attendees": [{"type": "required", "emailAddress": {"address": one, "name": one}} for one in addresses]}


class Meeting:
    """A meeting to which another account invites the writer's.

    Args:
        writer: The invited account.
        provider: Its provider.
        organizer: The organizer's address.
        organized: The provider's id of the organizer's calendar.
    """

    def __init__(self, writer: Writer, provider: str, organizer: str, organized: str) -> None:
        self.writer = writer
        self.provider = provider
        self.organizer = organizer
        self.organized = organized
        self.control = writer.ground.control
        self.address = writer.followed.tenant.address

    @classmethod
    async def of(cls, ground: Ground, provider: str, times: dict[str, Any] | None = None) -> "Meeting":
        """Invite a new account; its calendar is not followed yet. `times` has the title and the times, or a series."""
        writer = await Writer.of(ground, provider)
        name, _, domain = writer.followed.tenant.address.partition("@")
        organizer = (await ground.control.create_account(provider, f"o-{name}@{domain}"))["address"]
        calendar = (await ground.control.calendars(organizer))[0]["id"]
        made = cls(writer, provider, organizer, calendar)
        fields = {**(times or TIMES[provider]), **attendees(provider, made.address, "eve@example.com")}
        await ground.control.create_event(organizer, calendar, **fields)
        return made

    async def followed(self) -> str:
        """Follow the calendar; return mailmesh's id of the meeting."""
        await self.writer.followed.follow()
        (event,) = (await self.writer.followed.page()).events
        return event.calendar_event_id

    async def respond(self, event_id: str, key: str = "k", **fields: Any) -> WriteRow:
        """Commit an answer: by default an acceptance of which the organizer is notified."""
        asked = {"answer": pb2.CALENDAR_ANSWER_ACCEPTED, "notify": pb2.CALENDAR_NOTIFY_ALL, **fields}
        request = pb2.RespondToCalendarEventRequest(idempotency_key=key, calendar_event_id=event_id, **asked)
        return (await self.writer.writes.respond(request, None))[0]

    async def heard(self) -> str:
        """Return the writer's answer as the organizer's calendar shows it."""
        (calendar, *_) = await self.control.calendars(self.organizer)
        (event,) = calendar["events"]
        return str(event["attendees"][self.address])

    async def told(self) -> list[dict[str, Any]]:
        """Return the notices that the writes to the calendar caused."""
        (calendar, *_) = await self.control.calendars(self.address)
        return list(calendar["told"])
