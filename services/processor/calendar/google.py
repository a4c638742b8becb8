"""Google Calendar over HTTP: the list of calendars, changes of a calendar's events by sync token, one event.

The listing has series and their changed instances (`singleEvents=false`), without a lower bound of time: a token keeps
the parameters of its first page, and a bound would hide old changed instances from the next complete round.
"""

from datetime import datetime
from urllib.parse import quote, urlencode

from mailmesh.calendar.v1 import calendar_pb2
from services.processor.calendar.google_fetch import GoogleFetcher
from services.processor.calendar.mapping.fields import objects, text
from services.processor.calendar.mapping.google_calendar import map_calendar
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.source import ChangesPage, Fetcher, Known
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.providers.names import GOOGLEWS

_PAGE = 100
_MAX_CALENDARS = 1000
_LIST_PAGE = 250
_FREE_BUSY = "freeBusyReader"


class GoogleCalendars:
    """The calendars of one account at Google; implements `source.CalendarSource`.

    Args:
        access: The account's access to the provider.
        base_url: The base URL of the API, with its version.
    """

    provider = GOOGLEWS
    is_staged = True
    can_list_instead = False

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url

    async def calendars(self, own_address: str) -> list[calendar_pb2.Calendar]:
        """See `CalendarSource.calendars`."""
        found: list[JSON] = []
        token = ""
        while len(found) < _MAX_CALENDARS:
            query = {"maxResults": _LIST_PAGE, "showHidden": "true", **({"pageToken": token} if token else {})}
            page = await self._access.call("calendars", f"{self._lists()}?{urlencode(query)}")
            found += objects(page, "items")
            token = text(page, "nextPageToken", 10_000)
            if not token:
                break
        mapped = [map_calendar(one, own_address) for one in found[:_MAX_CALENDARS]]
        return [one for one in mapped if one is not None]

    async def has_calendar(self, calendar_id: str) -> bool:
        """See `CalendarSource.has_calendar`."""
        try:
            await self._access.call("calendar", f"{self._lists()}/{quote(calendar_id, safe='')}")
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING:
                return False
            raise
        return True

    def first_link(self, calendar_id: str, begins: datetime, *, is_listing: bool) -> str:  # noqa: ARG002 - the protocol's
        """See `CalendarSource.first_link`. Google lists everything."""
        return f"{self._events(calendar_id)}?{urlencode({'maxResults': _PAGE})}"

    async def page(self, link: str) -> ChangesPage:
        """See `CalendarSource.page`."""
        if not link.startswith(f"{self._base}/"):
            raise classify(GOOGLEWS, 0, ["link_leads_elsewhere"])
        answer = await self._access.call("calendar_events", link)
        if text(answer, "accessRole") == _FREE_BUSY:
            raise classify(GOOGLEWS, 403, ["only free and busy times are shared"])
        following, token = text(answer, "nextPageToken", 10_000), text(answer, "nextSyncToken", 10_000)
        items = objects(answer, "items")
        if following:
            whole = link.partition("&pageToken=")[0]
            return ChangesPage(items, f"{whole}&{urlencode({'pageToken': following})}", is_last=False)
        first = link.partition("&")[0]
        return ChangesPage(items, f"{first}&{urlencode({'syncToken': token})}", is_last=True)

    async def event(self, calendar_id: str, event_id: str) -> JSON | None:
        """Read one event; None when the calendar does not have it, or not any more. Raises `SourceError`."""
        try:
            found = await self._access.call("calendar_event", f"{self._events(calendar_id)}/{quote(event_id, safe='')}")
        except SourceError as exc:
            if exc.remedy in (Remedy.MISSING, Remedy.CURSOR_LOST):  # 410: deleted
                return None
            raise
        return None if text(found, "status") == "cancelled" else found

    def fetcher(self, provider_calendar_id: str, calendar: CalendarOfEvents, failures: int, known: Known) -> Fetcher:
        """See `CalendarSource.fetcher`."""
        return GoogleFetcher(self, provider_calendar_id, calendar, failures, known)

    def _lists(self) -> str:
        return f"{self._base}/users/me/calendarList"

    def _events(self, calendar_id: str) -> str:
        return f"{self._base}/calendars/{quote(calendar_id, safe='')}/events"
