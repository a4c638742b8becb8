"""Microsoft Graph over HTTP: the list of calendars, changes of a calendar's events, one event. Times come in UTC.

Changes are listed by `events/delta`, which has series, their changed instances and single events. The documents of v1.0
do not mention it without a window, so where an account refuses it, every round lists `/events` instead.
"""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from mailmesh.calendar.v1 import calendar_pb2
from services.processor.calendar.fetch import EXCEPTIONS, EventFetcher
from services.processor.calendar.mapping.fields import objects, text
from services.processor.calendar.mapping.graph_calendar import map_calendar
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.source import ChangesPage, Fetcher, Known
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.providers.names import MS365

_PAGE = 50
_MAX_CALENDARS = 1000
_TEXT = {"prefer": f'outlook.body-content-type="text", odata.maxpagesize={_PAGE}'}
_FIELDS = (
    "id,changeKey,iCalUId,type,seriesMasterId,originalStart,originalStartTimeZone,originalEndTimeZone,subject,body,"
    "bodyPreview,start,end,isAllDay,isCancelled,isDraft,isOrganizer,organizer,attendees,responseStatus,importance,"
    "sensitivity,showAs,categories,isReminderOn,reminderMinutesBeforeStart,location,locations,isOnlineMeeting,"
    "onlineMeetingProvider,onlineMeeting,hasAttachments,webLink,createdDateTime,lastModifiedDateTime,recurrence"
)
_SERIES = "seriesmaster"
_BAD_REQUEST = 400


class GraphCalendars:
    """The calendars of one account at Graph; implements `source.CalendarSource`.

    Args:
        access: The account's access to the provider.
        base_url: The base URL of Graph, with its version.
    """

    provider = MS365
    is_staged = False
    can_list_instead = True

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url

    async def calendars(self, own_address: str) -> list[calendar_pb2.Calendar]:
        """See `CalendarSource.calendars`."""
        found: list[JSON] = []
        link = f"{self._base}/me/calendars?{urlencode({'$top': 100})}"
        while link and len(found) < _MAX_CALENDARS:
            page = await self._access.call("calendars", self._checked(link))
            found += objects(page, "value")
            link = text(page, "@odata.nextLink", 10_000)
        mapped = [map_calendar(one, own_address) for one in found[:_MAX_CALENDARS]]
        return [one for one in mapped if one is not None]

    async def has_calendar(self, calendar_id: str) -> bool:
        """Return whether a calendar can still be read. Raises `SourceError` for other failures than its absence."""
        url = f"{self._of(calendar_id)}?{urlencode({'$select': 'id'})}"
        try:
            await self._access.call("calendar", url)
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING:
                return False
            raise
        return True

    def first_link(self, calendar_id: str, begins: datetime, *, is_listing: bool) -> str:
        """Return the link of a complete round.

        Args:
            calendar_id: The provider's id of the calendar.
            begins: Earlier single events need not be listed.
            is_listing: Whether changes cannot be listed.
        """
        if is_listing:
            return f"{self._of(calendar_id)}/events?{urlencode({'$top': _PAGE, '$select': _FIELDS}, safe=',$')}"
        start = begins.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self._of(calendar_id)}/events/delta?{urlencode({'startDateTime': start})}"

    async def page(self, link: str) -> ChangesPage:
        """Read a page of changes. Raises `SourceError`; with `CURSOR_LOST` a complete round has to begin."""
        answer = await self._access.call("calendar_events", self._checked(link), headers=_TEXT)
        following = text(answer, "@odata.nextLink", 10_000)
        return ChangesPage(
            objects(answer, "value"), following or text(answer, "@odata.deltaLink", 10_000), is_last=not following
        )

    def fetcher(self, provider_calendar_id: str, calendar: CalendarOfEvents, failures: int, known: Known) -> Fetcher:  # noqa: ARG002 - the protocol's
        """See `CalendarSource.fetcher`."""
        return EventFetcher(self, provider_calendar_id, calendar, failures)

    async def event(self, calendar_id: str, event_id: str) -> JSON | None:
        """Read one event by its calendar's path, a series with its changed and deleted instances.

        Returns:
            None when the calendar does not have it.

        Raises:
            SourceError: Another failure.
        """
        whole = {"$select": f"{_FIELDS},cancelledOccurrences", "$expand": EXCEPTIONS}
        try:
            return await self._one(calendar_id, event_id, whole)
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING:
                return None
            if exc.status != _BAD_REQUEST:
                raise
            # The documents permit both properties for series alone. A series without them would look changed.
            found = await self._one(calendar_id, event_id, {"$select": _FIELDS})
            if text(found, "type").lower() == _SERIES:
                raise
            return found

    async def _one(self, calendar_id: str, event_id: str, query: dict[str, str]) -> JSON:
        url = f"{self._of(calendar_id)}/events/{quote(event_id, safe='')}?{urlencode(query, safe=',$')}"
        return await self._access.call("calendar_event", url, headers=_TEXT)

    def _of(self, calendar_id: str) -> str:
        return f"{self._base}/me/calendars/{quote(calendar_id, safe='')}"

    def _checked(self, link: str) -> str:
        """Return a link that leads to Graph: the token goes nowhere else."""
        if not link.startswith(f"{self._base}/"):
            raise classify(MS365, 0, ["link_leads_elsewhere"])
        return link
