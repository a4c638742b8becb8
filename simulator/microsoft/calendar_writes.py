"""Graph's writes to calendars: new events, with their marks and their online meetings, and answers to invitations."""

from collections.abc import Collection
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.calendar_events import Calendar, CalendarEvent
from simulator.mailboxes.graph import GraphMailbox
from simulator.microsoft.calendars import calendar_of, event_of, key_of, show
from simulator.microsoft.errors import graph_error
from simulator.microsoft.graph import USER, mailbox_of
from simulator.state import World

WRITE = ("Calendars.ReadWrite",)
_PLAIN = (
    "subject", "isAllDay", "attendees", "importance", "sensitivity", "showAs", "categories", "isReminderOn",
    "reminderMinutesBeforeStart", "recurrence", "isOnlineMeeting", "onlineMeetingProvider",
)  # fmt: skip
_PROPERTIES = "singleValueExtendedProperties"
_WRITTEN = (*_PLAIN, _PROPERTIES, "transactionId", "body", "start", "end", "location")
_CHANGEABLE = {
    "subject", "body", "location", "start", "end", "isAllDay", "attendees", "recurrence", _PROPERTIES,
}  # fmt: skip
_ATTENDEES_MAX = 500
ANSWERS = {"accept": "accepted", "tentativelyAccept": "tentativelyAccepted", "decline": "declined"}
"""The state that each action of an answer leaves."""
_RESPONSE = {"response": "none", "time": "0001-01-01T00:00:00Z"}


class CalendarWritesApi:
    """The writes to events."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resources to the provider's table."""
        events = f"{USER}/calendars/{{calendar}}/events"
        operations.add("graph.events.create", "POST", events, self.create, scopes=WRITE)
        operations.add("graph.events.cancel", "POST", f"{events}/{{event}}/cancel", self.cancel, scopes=WRITE)
        operations.add("graph.events.update", "PATCH", f"{events}/{{event}}", self.update, scopes=WRITE)
        operations.add("graph.events.delete", "DELETE", f"{events}/{{event}}", self.delete, scopes=WRITE)
        for action in ANSWERS:
            path = f"{events}/{{event}}/{action}"
            operations.add(f"graph.events.{action}", "POST", path, self.answer, scopes=WRITE)

    def answer(self, call: Call) -> Reply:
        """Answer an invitation; the organizer sees the answer unless it is not sent."""
        mailbox, calendar = mailbox_of(call), calendar_of(call)
        event = event_of(call)
        body = call.fields(("comment", "sendResponse", "proposedNewTime"), in_any_case=True)
        if body.get("proposedNewTime"):
            raise NotSimulatedError("an answer that proposes another time")
        if event.fields["isOrganizer"]:
            raise graph_error(400, "ErrorInvalidRequest", "You can't respond to this meeting: you're its organizer.")
        response = ANSWERS[call.path.rpartition("/")[2]]
        mailbox.calendars.answer(calendar, event, response)
        if body.get("sendResponse", True):
            sent = {"event": event.id, "action": response, "comment": body.get("comment", "")}
            mailbox.calendars.told.append({**sent, "to": [event.fields["organizer"]["emailAddress"]["address"]]})
            for other in self._world.accounts["ms365"]:
                if isinstance(other.mailbox, GraphMailbox):
                    other.mailbox.calendars.hear(event.uid, event.original[0], mailbox.address, response)
        return Reply(202)

    def update(self, call: Call) -> Reply:
        """Change fields of an event of a named version; its attendees get a mail."""
        mailbox, calendar, event = mailbox_of(call), calendar_of(call), event_of(call)
        _check_right(calendar)
        if call.headers.get("if-match", "") not in ("", f'W/"{key_of(event)}"'):
            raise graph_error(412, "ErrorIrresolvableConflict", "The change key does not match the current one.")
        body = call.fields(_WRITTEN)
        if not body.keys() <= _CHANGEABLE:
            raise NotSimulatedError(f"a change of {sorted(body)}")
        given = {one["id"]: one for one in (*event.properties, *body.get(_PROPERTIES, ()))}
        event.properties = list(given.values())
        before = _addresses(event)
        mailbox.calendars.update(calendar, event, fields_of(body))
        added, removed = _addresses(event) - before, before - _addresses(event)
        is_of_attendees = body.keys() <= {"attendees", _PROPERTIES}
        mailbox.calendars.tell(event, "update", to=added | removed if is_of_attendees else _addresses(event) | removed)
        invite(self._world, event, mailbox.address, only=added)
        self._uninvite(event, removed)
        return Reply(200, show(call, mailbox, event))

    def _uninvite(self, event: CalendarEvent, addresses: set[str]) -> None:
        for address in addresses:
            other = self._world.account(address, "ms365")
            if other is not None and isinstance(other.mailbox, GraphMailbox):
                other.mailbox.calendars.call_off(event.uid, event.original[0])

    def cancel(self, call: Call) -> Reply:
        """Cancel a meeting as its organizer; the attendees' copies stay as cancelled ones."""
        comment = str(call.fields(("comment",), in_any_case=True).get("comment", ""))
        event = event_of(call)
        if not event.fields["isOrganizer"] or not event.fields["attendees"]:
            raise graph_error(400, "ErrorInvalidRequest", "You need to be an organizer to cancel a meeting.")
        self._remove(call, event, "cancel", comment)
        return Reply(202)

    def delete(self, call: Call) -> Reply:
        """Delete an event; an organizer's attendees get a mail."""
        event = event_of(call)
        self._remove(call, event, "delete", "")
        return Reply(204)

    def _remove(self, call: Call, event: CalendarEvent, action: str, comment: str) -> None:
        mailbox, calendar = mailbox_of(call), calendar_of(call)
        _check_right(calendar)
        mailbox.calendars.delete(calendar, event)
        if not event.fields["isOrganizer"]:
            return
        mailbox.calendars.tell(event, action, comment)
        for other in self._world.accounts["ms365"]:
            if isinstance(other.mailbox, GraphMailbox) and other.mailbox is not mailbox:
                other.mailbox.calendars.call_off(event.uid, event.original[0])

    def create(self, call: Call) -> Reply:
        """Add an event; a repeated ``transactionId`` leads to the event that is there."""
        mailbox, calendar = mailbox_of(call), calendar_of(call)
        _check_right(calendar)
        body = call.fields(_WRITTEN)
        transaction = str(body.get("transactionId") or "")
        known = next((one for one in calendar.events.values() if transaction and one.transaction == transaction), None)
        made = known or self._made(mailbox, calendar, body)
        return Reply(201, show(call, mailbox, made))

    def _made(self, mailbox: GraphMailbox, calendar: Calendar, body: JSON) -> CalendarEvent:
        calendars = mailbox.calendars
        fields = fields_of(body)
        if not {"start", "end"} <= fields.keys():
            raise graph_error(400, "ErrorInvalidRequest", "The start and the end are required.")
        wants = fields.pop("isOnlineMeeting", False)
        provider = fields.pop("onlineMeetingProvider", "unknown")
        made = calendars.create(calendar, fields)
        made.transaction, made.properties = str(body.get("transactionId") or ""), list(body.get(_PROPERTIES) or [])
        reads = self._world.knobs.meeting_reads
        if wants and reads >= 0:
            made.fields |= {"isOnlineMeeting": True, "onlineMeetingProvider": provider}
            made.reads = reads
            if not reads:
                calendars.meet(made)
        calendars.tell(made, "create")
        invite(self._world, made, mailbox.address)
        return made


def _addresses(event: CalendarEvent) -> set[str]:
    return {one["emailAddress"]["address"] for one in event.fields["attendees"]}


def invite(world: World, event: CalendarEvent, address: str, only: Collection[str] | None = None) -> None:
    """Add the copies of a meeting to the calendars of its new attendees who have an account here; `only` names them."""
    organizer = event.fields["organizer"] or {"emailAddress": {"name": address, "address": address}}
    for one in event.fields["attendees"]:
        if only is not None and one["emailAddress"]["address"] not in only:
            continue
        other = world.account(one["emailAddress"]["address"], "ms365")
        if other is not None and isinstance(other.mailbox, GraphMailbox) and other.address != address:
            other.mailbox.calendars.invite(event, organizer)


def fields_of(body: JSON) -> JSON:
    """Return the fields of an event that a body has, in the form of the mailbox: times are a wall clock in UTC."""
    fields = {name: body[name] for name in _PLAIN if name in body}
    for name in ("start", "end"):
        if name in body:
            fields[name], fields[f"original{name.capitalize()}TimeZone"] = utc_clock(body[name])
    if "body" in body:
        if body["body"].get("contentType", "text").lower() != "text":
            raise NotSimulatedError("a new event's body as HTML")
        fields["body"] = body["body"]["content"]
    if "location" in body:
        place = body["location"].get("displayName", "")
        fields["locations"] = [place] if place else []
    if "attendees" in body:
        if len(body["attendees"]) > _ATTENDEES_MAX:
            raise graph_error(400, "ErrorInvalidRequest", "Too many attendees.")
        fields["attendees"] = [{"status": _RESPONSE, **one} for one in body["attendees"]]
    return fields


def utc_clock(given: JSON) -> tuple[str, str]:
    """Return a time as a wall clock in UTC, and the name of its zone."""
    name = str(given.get("timeZone") or "UTC")
    zone = win_tz.get(name, name if name == "UTC" else "")
    if not zone:
        raise graph_error(400, "TimeZoneNotSupportedException", f"The time zone {name} is not supported.")
    clock = datetime.fromisoformat(str(given["dateTime"]))
    if clock.tzinfo is not None:
        raise graph_error(400, "ErrorInvalidRequest", "A dateTime must have no offset beside its timeZone.")
    return clock.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None).isoformat(), name


def _check_right(calendar: Calendar) -> None:
    if not calendar.can_edit:
        raise graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
