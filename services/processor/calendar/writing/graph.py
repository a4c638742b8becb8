"""Writing to calendars by Microsoft Graph.

A new event has a `transactionId`, by which Graph recognises a repeated POST, and an extended property with the write's
id, by which it is found: the documents do not say how a repetition is answered.
"""

from urllib.parse import quote

from services.processor.calendar.mapping.fields import objects
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents, UnreadableEventError
from services.processor.calendar.write_rows import Kind, Made, Target, WriteRow
from services.processor.calendar.writing.graph_changes import GraphChanges
from services.processor.calendar.writing.graph_json import event_json
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.providers.marks import GRAPH_CALENDAR_WRITE
from services.providers.names import MS365

_CREATED = 201
_FIELDS = (
    "id,changeKey,type,start,end,isAllDay,isCancelled,isOnlineMeeting,onlineMeetingProvider,onlineMeeting,isOrganizer"
)


class GraphWriting:
    """The calendars of one account at Graph; implements `target.WritableCalendars`.

    Args:
        access: The account's access to the provider.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url
        self._changes = GraphChanges(access, base_url)

    async def target(self, row: WriteRow) -> Target:
        """See `WritableCalendars.target`."""
        return await self._changes.target(row)

    async def submit(self, row: WriteRow) -> Made:
        """See `WritableCalendars.submit`."""
        if row.kind is not Kind.CREATE:
            return await self._changes.submit(row)
        mark = {"id": GRAPH_CALENDAR_WRITE, "value": row.calendar_write_id}
        body = {
            **event_json(row.creation.event),
            "transactionId": row.calendar_write_id,
            "singleValueExtendedProperties": [mark],
        }
        url = f"{self._of(row)}/events"
        return _made(row, await self._access.call("calendar_create", url, method="POST", body=body, success=_CREATED))

    async def find(self, row: WriteRow) -> Made | None:
        """See `WritableCalendars.find`. A search need not find at once what was made."""
        if row.kind is not Kind.CREATE:
            return await self._changes.find(row)
        condition = f"ep/id eq '{GRAPH_CALENDAR_WRITE}' and ep/value eq '{row.calendar_write_id}'"
        params = {"$filter": f"singleValueExtendedProperties/Any(ep: {condition})", "$select": _FIELDS, "$top": "2"}
        found = objects(await self._access.call("calendar_find", f"{self._of(row)}/events", params=params), "value")
        return _made(row, found[0]) if found else None

    async def event(self, row: WriteRow) -> Made | None:
        """See `WritableCalendars.event`."""
        url = f"{self._of(row)}/events/{quote(row.provider_event_id, safe='')}"
        try:
            return _made(row, await self._access.call("calendar_event", url, params={"$select": _FIELDS}))
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING:
                return None
            raise

    def _of(self, row: WriteRow) -> str:
        return f"{self._base}/me/calendars/{quote(row.provider_calendar_id, safe='')}"


def _made(row: WriteRow, answer: JSON) -> Made:
    try:
        event = map_event(answer, CalendarOfEvents(row.calendar_id))
    except UnreadableEventError as exc:
        raise classify(MS365, 0, ["answer_is_no_event"]) from exc
    meeting = event.online_meeting if event.HasField("online_meeting") else None
    return Made(event.provider_event_id, event.version, meeting)
