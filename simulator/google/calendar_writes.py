"""Google Calendar's writes: new events under ids of clients, with requests for meetings."""

import re

from simulator.google.calendars import calendar_of, calendars_of
from simulator.google.errors import api_error
from simulator.google.gmail import AUTH
from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.google_calendars import FIELDS, GoogleCalendar, GoogleCalendars, shown
from simulator.mailboxes.mailbox import MailboxError
from simulator.state import World

WRITE = (f"{AUTH}calendar", f"{AUTH}calendar.events")
QUERY = ("conferenceDataVersion", "sendUpdates")
_WRITERS = frozenset({"writer", "owner"})
_ID = re.compile("[a-v0-9]{5,1024}")
_UPDATES = frozenset({"", "all", "externalOnly", "none"})


class CalendarWritesApi:
    """The writes to events."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resources to the provider's table."""
        events = "/calendar/v3/calendars/{calendar}/events"
        operations.add("calendar.events.insert", "POST", events, self.insert, scopes=WRITE, query=QUERY)

    def insert(self, call: Call) -> Reply:
        """Add an event; an id that is taken, also by a deleted event, is refused."""
        calendars, calendar = calendars_of(call), calendar_of(call)
        check_right(calendar)
        body = call.fields(FIELDS | {"id"})
        event_id = str(body.pop("id", "") or "")
        if event_id and not _ID.fullmatch(event_id):
            raise api_error(400, "invalid", "Invalid resource id value.")
        fields = fields_of(call, body)
        try:
            made = calendars.create(calendar, fields, event_id)
        except MailboxError as error:
            if error.kind == "conflict":
                raise api_error(409, "duplicate", str(error)) from error
            raise api_error(400, "invalid", str(error)) from error
        made["reads"] = self._world.knobs.meeting_reads
        if made["reads"] == 0:
            calendars.meet(made)
        tell(call, calendars, made, "insert")
        return Reply(200, shown(made))


def fields_of(call: Call, body: JSON) -> JSON:
    """Return the fields that a body has; without ``conferenceDataVersion=1`` a meeting is ignored."""
    if call.first("sendUpdates") not in _UPDATES:
        raise api_error(400, "invalidParameter", "Invalid value for sendUpdates.")
    fields = dict(body)
    data = fields.pop("conferenceData", None)
    if data is None or call.first("conferenceDataVersion") != "1":
        return fields
    if set(data) != {"createRequest"}:
        raise NotSimulatedError("conference data without a createRequest alone")
    request = {**data["createRequest"], "status": {"statusCode": "pending"}}
    return {**fields, "conferenceData": {"createRequest": request}}


def tell(call: Call, calendars: GoogleCalendars, event: JSON, action: str) -> None:
    """Note whom a write notifies: no guest unless ``sendUpdates`` says so."""
    choice = call.first("sendUpdates") or "none"
    addresses = [one["email"] for one in event.get("attendees", ()) if not one.get("self")]
    if choice != "none" and addresses:
        calendars.told.append({"event": event["id"], "action": action, "updates": choice, "to": addresses})


def check_right(calendar: GoogleCalendar) -> None:
    """Refuse a write to a calendar that the account may only read."""
    if calendar.role not in _WRITERS:
        raise api_error(403, "requiredAccessLevel", "You need to have writer access to this calendar.")
