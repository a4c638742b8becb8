"""Microsoft Graph over HTTP: the list of calendars, changes of a calendar's events, one event. Times come in UTC.

Changes are listed by `events/delta`, which has series, their changed instances and single events. The documents of v1.0
do not mention it without a window, so where an account refuses it, every round lists `/events` instead.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from services.processor.calendar.mapping.fields import objects, text
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
_EXCEPTIONS = "exceptionOccurrences"
_SERIES = "seriesmaster"
_BAD_REQUEST = 400
_WHOLE = frozenset({"subject", "start", "end", "isAllDay", "attendees", "changeKey"})
"""The members that a stub of an event lacks."""


@dataclass(frozen=True)
class ChangesPage:
    """One page of changes.

    Args:
        entries: Events, stubs, or `@removed`.
        link: The link of the next page, or of the next round.
        is_last: Whether the round is over.
    """

    entries: list[JSON]
    link: str
    is_last: bool


class GraphCalendars:
    """The calendars of one account at Graph.

    Args:
        access: The account's access to the provider.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url

    async def calendars(self) -> list[JSON]:
        """List the account's calendars, at most 1000. Raises `SourceError`."""
        found: list[JSON] = []
        link = f"{self._base}/me/calendars?{urlencode({'$top': 100})}"
        while link and len(found) < _MAX_CALENDARS:
            page = await self._access.call("calendars", self._checked(link))
            found += objects(page, "value")
            link = text(page, "@odata.nextLink", 10_000)
        return found[:_MAX_CALENDARS]

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

    async def event(self, calendar_id: str, event_id: str) -> JSON | None:
        """Read one event by its calendar's path, a series with its changed and deleted instances.

        Returns:
            None when the calendar does not have it.

        Raises:
            SourceError: Another failure.
        """
        whole = {"$select": f"{_FIELDS},cancelledOccurrences", "$expand": _EXCEPTIONS}
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


def is_whole(entry: JSON) -> bool:
    """Return whether an entry of a page is the event itself and not a stub of it."""
    return entry.keys() >= _WHOLE


def exceptions_of(master: JSON) -> list[JSON]:
    """Return the changed instances of a series that was read by `event`."""
    return objects(master, _EXCEPTIONS)
