"""Google Calendar's writes: new events under ids of clients, with requests for meetings."""

import re
from collections.abc import Collection

from simulator.google.calendars import calendar_of, calendars_of, event_of
from simulator.google.errors import api_error
from simulator.google.gmail import AUTH
from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.google_calendars import FIELDS, GoogleCalendar, GoogleCalendars, shown
from simulator.mailboxes.mailbox import MailboxError
from simulator.state import World

WRITE = (f"{AUTH}calendar", f"{AUTH}calendar.events")
QUERY = ("conferenceDataVersion", "sendUpdates")
_WRITERS = frozenset({"writer", "owner"})
_ID = re.compile("[a-v0-9]{5,1024}")
_MERGED = frozenset({"start", "end", "extendedProperties"})
_UPDATES = frozenset({"", "all", "externalOnly", "none"})


class CalendarWritesApi:
    """The writes to events."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resources to the provider's table."""
        events = "/calendar/v3/calendars/{calendar}/events"
        operations.add("calendar.events.insert", "POST", events, self.insert, scopes=WRITE, query=QUERY)
        one = f"{events}/{{event}}"
        operations.add("calendar.events.delete", "DELETE", one, self.delete, scopes=WRITE, query=("sendUpdates",))
        operations.add("calendar.events.patch", "PATCH", one, self.patch, scopes=WRITE, query=QUERY)

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
        invite(self._world, made, calendar.id)
        return Reply(200, shown(made))

    def patch(self, call: Call) -> Reply:
        """Change fields of an event of a named version; of its attendees alone the own answer."""
        calendars, calendar, event = calendars_of(call), calendar_of(call), event_of(call)
        check_right(calendar)
        check_version(call, event)
        fields = fields_of(call, call.fields(FIELDS))
        before = _addresses(event)
        if fields.get("attendeesOmitted"):
            fields["attendees"] = self._answered(event, fields)
        elif "attendees" in fields and not event["organizer"].get("self"):
            raise api_error(403, "forbiddenForNonOrganizer", "Only the organizer can change attendees.")
        fields.pop("attendeesOmitted", None)
        fields |= {name: merged(event.get(name, {}), fields[name]) for name in _MERGED & fields.keys()}
        calendars.update(calendar, event, fields)
        added, removed = _addresses(event) - before, before - _addresses(event)
        tell(call, calendars, event, "patch", also=removed)
        invite(self._world, event, calendar.id, only=added)
        self._uninvite(event, removed)
        return Reply(200, shown(event))

    def delete(self, call: Call) -> Reply:
        """Delete an event, which stays as a cancelled one in every copy; a second time it answers 410."""
        calendars, calendar, event = calendars_of(call), calendar_of(call), event_of(call)
        check_right(calendar)
        check_version(call, event)
        if event["status"] == "cancelled":
            raise api_error(410, "deleted", "Resource has been deleted")
        calendars.delete(calendar, event)
        tell(call, calendars, event, "delete")
        for other in self._world.accounts["googlews"]:
            if isinstance(other.mailbox, GmailMailbox) and event["organizer"].get("self"):
                other.mailbox.calendars.call_off(event)
        return Reply(204)

    def _uninvite(self, event: JSON, addresses: set[str]) -> None:
        for address in addresses:
            other = self._world.account(address, "googlews")
            if other is not None and isinstance(other.mailbox, GmailMailbox):
                other.mailbox.calendars.call_off(event)

    def _answered(self, event: JSON, fields: JSON) -> list[JSON]:
        """Return the attendees after an own answer, which every copy of the meeting shows."""
        if len(fields.get("attendees", ())) != 1:
            raise NotSimulatedError("attendeesOmitted in a patch with other attendees than oneself")
        (answer,) = fields["attendees"]
        if not any(one.get("self") and one["email"] == answer["email"] for one in event.get("attendees", ())):
            raise api_error(403, "forbiddenForNonOrganizer", "Only the organizer can change other attendees.")
        for other in self._world.accounts["googlews"]:
            if isinstance(other.mailbox, GmailMailbox):
                other.mailbox.calendars.hear(event, answer)
        return [{**one, **answer} if one["email"] == answer["email"] else one for one in event["attendees"]]


def merged(known: JSON, given: JSON) -> JSON:
    """Return an object after a patch: null removes a member."""
    return {name: value for name, value in {**known, **given}.items() if value is not None}


def check_version(call: Call, event: JSON) -> None:
    """Refuse a change of another version than the one that the request names."""
    named = call.headers.get("if-match", "")
    if named not in ("", event["etag"]):
        raise api_error(412, "conditionNotMet", "Precondition Failed")


def _addresses(event: JSON) -> set[str]:
    return {one["email"] for one in event.get("attendees", ())}


def invite(world: World, event: JSON, organizer: str, only: Collection[str] | None = None) -> None:
    """Add the copies of a meeting to the calendars of its new attendees who have an account here; `only` names them."""
    for one in event.get("attendees", ()):
        one.setdefault("responseStatus", "needsAction")
        if only is not None and one["email"] not in only:
            continue
        other = world.account(one["email"], "googlews")
        if other is not None and isinstance(other.mailbox, GmailMailbox) and other.address != organizer:
            other.mailbox.calendars.invite(event, organizer)


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


def tell(call: Call, calendars: GoogleCalendars, event: JSON, action: str, also: Collection[str] = ()) -> None:
    """Note whom a write notifies, those who left with it too: no guest unless ``sendUpdates`` says so."""
    choice = call.first("sendUpdates") or "none"
    addresses = [one["email"] for one in event.get("attendees", ()) if not one.get("self")]
    addresses += sorted(also)
    if choice != "none" and addresses:
        version = call.first("conferenceDataVersion")
        notice = {"event": event["id"], "action": action, "updates": choice, "conferenceDataVersion": version}
        calendars.told.append({**notice, "to": addresses})


def check_right(calendar: GoogleCalendar) -> None:
    """Refuse a write to a calendar that the account may only read."""
    if calendar.role not in _WRITERS:
        raise api_error(403, "requiredAccessLevel", "You need to have writer access to this calendar.")
