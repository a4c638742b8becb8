"""Google Calendar: the list of calendars, events by sync token or whole, one event."""

import base64
import json
from datetime import UTC, datetime, timedelta

from simulator.clock import Clock
from simulator.google import occurrences
from simulator.google.errors import api_error
from simulator.google.gmail import AUTH, boolean, number
from simulator.google.occurrences import instance_of, moment_of
from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.google_calendars import GoogleCalendar, GoogleCalendars, etag_of, shown
from simulator.mailboxes.mailbox import MailboxError

_ROOT = "/calendar/v3"
_ALL = f"{AUTH}calendar"
_READ = tuple(f"{AUTH}calendar.{name}" for name in ("events", "events.readonly", "readonly"))
_LISTS = tuple(f"{AUTH}calendar.{name}" for name in ("calendarlist", "calendarlist.readonly", "readonly"))
_QUERY = ("syncToken", "pageToken", "maxResults", "showDeleted", "singleEvents", "timeMin", "timeMax", "orderBy", "q",
          "updatedMin", "iCalUID", "timeZone", "maxAttendees")  # fmt: skip
_NOT_WITH_TOKEN = ("iCalUID", "orderBy", "q", "timeMin", "timeMax", "updatedMin")
_NOT_SIMULATED = ("orderBy", "q", "updatedMin", "timeZone", "maxAttendees", "timeMin", "timeMax")
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
_HORIZON = timedelta(days=730)
"""The time after now for which instances are listed where no window is named."""
_REMINDERS = [{"method": "popup", "minutes": 30}]


class CalendarsApi:
    """The resources `calendarList` and `events`.

    Args:
        clock: The simulated time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def register(self, operations: Operations) -> None:
        """Add the resources to the provider's table."""
        add, lists = operations.add, f"{_ROOT}/users/me/calendarList"
        events = f"{_ROOT}/calendars/{{calendar}}/events"
        query = ("maxResults", "pageToken", "showHidden", "minAccessRole")
        add("calendar.list", "GET", lists, self.list, scopes=(_ALL, *_LISTS), query=query)
        add("calendar.get", "GET", f"{lists}/{{calendar}}", self.get, scopes=(_ALL, *_LISTS))
        add("calendar.events.list", "GET", events, self.events, scopes=(_ALL, *_READ), query=_QUERY)
        add("calendar.events.get", "GET", f"{events}/{{event}}", self.event, scopes=(_ALL, *_READ),
            query=("timeZone", "maxAttendees"))  # fmt: skip
        add("calendar.events.instances", "GET", f"{events}/{{event}}/instances", self.instances, scopes=(_ALL, *_READ),
            query=("timeMin", "timeMax", "originalStart", "maxResults", "pageToken"))  # fmt: skip

    def list(self, call: Call) -> Reply:
        """Return a page of the account's calendars."""
        every = [_entry(one) for one in calendars_of(call).by_id.values()]
        size, start = number(call, "maxResults", 100, 250), _start(call)
        body: JSON = {"kind": "calendar#calendarList", "etag": etag_of(every), "items": every[start : start + size]}
        following = {"nextPageToken": _seal({"n": start + size})} if start + size < len(every) else {}
        return Reply(200, {**body, **following})

    def get(self, call: Call) -> Reply:
        """Return one calendar."""
        return Reply(200, _entry(calendar_of(call)))

    def event(self, call: Call) -> Reply:
        """Return one event; of a deleted one no more than its ids."""
        event = event_of(call)
        calendars_of(call).read(calendar_of(call), event)
        return Reply(200, shown(event))

    def instances(self, call: Call) -> Reply:
        """Return a page of the instances of a series, in a window or with an original start."""
        calendar, master = calendar_of(call), event_of(call)
        if not master.get("recurrence"):
            raise api_error(400, "invalid", "The event is not a recurring event.")
        begin, end = (
            datetime.fromisoformat(call.first(name)) if call.first(name) else unbounded
            for name, unbounded in (("timeMin", _EARLIEST), ("timeMax", self._clock.now() + _HORIZON))
        )
        found = occurrences.instances(calendar, master, begin, end)
        if original := call.first("originalStart"):
            wanted = moment_of({"date" if "T" not in original else "dateTime": original})
            found = [one for one in found if moment_of(one["originalStartTime"]) == wanted]
        start, size = _start(call), number(call, "maxResults", 250, 2500)
        following = {"nextPageToken": _seal({"n": start + size})} if start + size < len(found) else {}
        return Reply(200, {
            "kind": "calendar#events", "etag": etag_of(calendar.id, len(calendar.log)), "summary": calendar.name,
            "updated": "2026-11-27T00:00:00.000Z", "timeZone": calendar.zone, "accessRole": calendar.role,
            "defaultReminders": _REMINDERS, "items": [shown(one) for one in found[start : start + size]], **following,
        })  # fmt: skip

    def events(self, call: Call) -> Reply:
        """Return a page of a listing: everything, or the changes since a sync token."""
        calendar = calendar_of(call)
        _check(call)
        state = self._state(call, calendar)
        ids = _listed(calendar, state, call)
        start, size = int(state.get("n", 0)), number(call, "maxResults", 250, 2500)
        body: JSON = {
            "kind": "calendar#events", "etag": etag_of(calendar.id, len(calendar.log)), "summary": calendar.name,
            "updated": "2026-11-27T00:00:00.000Z", "timeZone": calendar.zone, "accessRole": calendar.role,
            "defaultReminders": _REMINDERS,
            "items": [shown(calendar.events[one]) for one in ids[start : start + size] if one in calendar.events],
        }  # fmt: skip
        if start + size < len(ids):
            return Reply(200, {**body, "nextPageToken": _seal({**state, "n": start + size})})
        return Reply(200, {**body, "nextSyncToken": _seal({"e": state["e"], "p": state["until"]})})

    def _state(self, call: Call, calendar: GoogleCalendar) -> JSON:
        """Return where the listing goes on; the changes of a listing end where its first page began."""
        epoch, until = calendars_of(call).epoch, len(calendar.log)
        if page := call.first("pageToken"):
            state = _unseal(page)
        elif token := call.first("syncToken"):
            state = {**_unseal(token), "until": until}
        else:
            state = {"e": epoch, "p": -1, "until": until}
        if state.get("e") != epoch:
            raise api_error(410, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.")
        return state


def calendars_of(call: Call) -> GoogleCalendars:
    """Return the calendars of the call's account."""
    assert call.account is not None  # noqa: S101  every operation has a token with an account
    assert isinstance(call.account.mailbox, GmailMailbox)  # noqa: S101  a Google account's
    return call.account.mailbox.calendars


def calendar_of(call: Call) -> GoogleCalendar:
    """Return the call's calendar.

    Raises:
        ApiError: 404, the account does not have it.
    """
    try:
        return calendars_of(call).find(call.params["calendar"])
    except MailboxError as error:
        raise api_error(404, "notFound", "Not Found") from error


def event_of(call: Call) -> JSON:
    """Return the call's event; an instance as the series has it is kept once it is changed.

    Raises:
        ApiError: 404, the calendar does not have it.
    """
    calendar, event_id = calendar_of(call), call.params["event"]
    try:
        master = calendar.events.get(event_id.rpartition("_")[0], {})
        if event_id in calendar.events or not master.get("recurrence"):
            return calendars_of(call).event(calendar, event_id)
        return instance_of(master, event_id)
    except MailboxError as error:
        raise api_error(404, "notFound", "Not Found") from error


def _seal(state: JSON) -> str:
    return base64.urlsafe_b64encode(json.dumps(state, separators=(",", ":")).encode()).decode()


def _unseal(token: str) -> JSON:
    try:
        return dict(json.loads(base64.urlsafe_b64decode(token)))
    except ValueError as error:
        raise api_error(400, "invalid", "Invalid token value.") from error


def _check(call: Call) -> None:
    if boolean(call, "singleEvents"):
        raise NotSimulatedError("the listing of instances (singleEvents=true)")
    if call.first("syncToken"):
        wrong = [name for name in _NOT_WITH_TOKEN if call.first(name)]
        if wrong or call.first("showDeleted").lower() == "false":
            raise api_error(400, "invalidParameter", f"syncToken cannot be combined with {wrong or 'showDeleted'}.")
    if unknown := [name for name in _NOT_SIMULATED if call.first(name)]:
        raise NotSimulatedError(f"the query parameter {unknown[0]} of calendar.events.list")


def _listed(calendar: GoogleCalendar, state: JSON, call: Call) -> list[str]:
    """Return the ids of a listing: of all events, newest series first, or of those changed since a position."""
    if state["p"] >= 0:
        return list(dict.fromkeys(calendar.log[int(state["p"]) : int(state["until"])]))
    every = [one for one in calendar.events.values() if call.first("iCalUID") in ("", one["iCalUID"])]
    # Cancelled instances belong to the listing; deleted events do so only on request.
    kept = [one for one in every if one["status"] != "cancelled" or "recurringEventId" in one]
    return [one["id"] for one in (every if boolean(call, "showDeleted") else reversed(kept))]


def _start(call: Call) -> int:
    return int(_unseal(call.first("pageToken")).get("n", 0)) if call.first("pageToken") else 0


def _entry(calendar: GoogleCalendar) -> JSON:
    shown_entry: JSON = {
        "kind": "calendar#calendarListEntry", "etag": etag_of(calendar.id, calendar.name, calendar.role),
        "id": calendar.id, "summary": calendar.name, "timeZone": calendar.zone, "colorId": "14",
        "backgroundColor": "#9fe1e7", "foregroundColor": "#000000", "selected": True, "accessRole": calendar.role,
        "defaultReminders": _REMINDERS,
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }  # fmt: skip
    if calendar.is_primary:
        return {**shown_entry, "primary": True}
    return {**shown_entry, "dataOwner": calendar.owner}
