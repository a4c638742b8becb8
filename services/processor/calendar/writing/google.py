"""Writing to calendars by Google Calendar.

A new event has an id of our own, made of the write's: a repeated insertion is refused with 409, and the event is found
by its id alone. `conferenceDataVersion` is on every write, because Google ignores meetings without it.
"""

from urllib.parse import quote, urlencode

from services.processor.calendar.mapping.fields import text
from services.processor.calendar.mapping.google_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents, UnreadableEventError
from services.processor.calendar.write_rows import Kind, Made, Target, WriteRow
from services.processor.calendar.writing.google_changes import GoogleChanges
from services.processor.calendar.writing.google_json import SEND_UPDATES, event_id, event_json
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.providers.names import GOOGLEWS

_VERSION = 1


class GoogleWriting:
    """The calendars of one account at Google; implements `target.WritableCalendars`.

    Args:
        access: The account's access to the provider.
        base_url: The base URL of the API, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url
        self._changes = GoogleChanges(access, base_url)

    async def target(self, row: WriteRow) -> Target:
        """See `WritableCalendars.target`."""
        return await self._changes.target(row)

    async def submit(self, row: WriteRow) -> Made:
        """See `WritableCalendars.submit`."""
        if row.kind is not Kind.CREATE:
            return await self._changes.submit(row)
        own = event_id(row.calendar_write_id)
        body = {"id": own, **event_json(row.creation.event, row.calendar_write_id)}
        query = {"conferenceDataVersion": _VERSION, "sendUpdates": SEND_UPDATES[row.creation.notify]}
        url = f"{self._of(row)}?{urlencode(query)}"
        return _made(row, await self._access.call("calendar_create", url, method="POST", body=body))

    async def find(self, row: WriteRow) -> Made | None:
        """See `WritableCalendars.find`. A late insertion collides with the repeated one."""
        if row.kind is not Kind.CREATE:
            return await self._changes.find(row)
        return await self._read(row, event_id(row.calendar_write_id))

    async def event(self, row: WriteRow) -> Made | None:
        """See `WritableCalendars.event`."""
        return await self._read(row, row.provider_event_id)

    async def _read(self, row: WriteRow, provider_id: str) -> Made | None:
        try:
            return _made(
                row, await self._access.call("calendar_event", f"{self._of(row)}/{quote(provider_id, safe='')}")
            )
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING:
                return None
            raise

    def _of(self, row: WriteRow) -> str:
        return f"{self._base}/calendars/{quote(row.provider_calendar_id, safe='')}/events"


def _made(row: WriteRow, answer: JSON) -> Made:
    """Return the event of an answer; a deleted one has little more than its id."""
    if text(answer, "status") == "cancelled" and text(answer, "id"):
        return Made(text(answer, "id"), text(answer, "etag"))
    try:
        event = map_event(answer, CalendarOfEvents(row.calendar_id))
    except UnreadableEventError as exc:
        raise classify(GOOGLEWS, 0, ["answer_is_no_event"]) from exc
    meeting = event.online_meeting if event.HasField("online_meeting") else None
    return Made(event.provider_event_id, event.version, meeting)
