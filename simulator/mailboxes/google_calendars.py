"""The calendars of a Google account: events as Google's resources, and a log for sync tokens."""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from simulator.clock import Clock
from simulator.mailboxes.mailbox import MailboxError

JSON = dict[str, Any]
FIELDS = frozenset({
    "summary", "description", "location", "start", "end", "recurrence", "attendees", "attendeesOmitted", "visibility",
    "transparency", "reminders", "conferenceData", "hangoutLink", "eventType", "colorId", "status", "organizer",
    "workingLocationProperties", "outOfOfficeProperties", "focusTimeProperties", "extendedProperties",
    "guestsCanModify", "guestsCanInviteOthers", "guestsCanSeeOtherGuests", "anyoneCanAddSelf", "source",
})  # fmt: skip
"""The fields of an event that a program or a test gives."""
_SPARSE = ("kind", "etag", "id", "status", "recurringEventId", "originalStartTime")
"""The fields that a cancelled event keeps for sure."""


@dataclass(slots=True)
class GoogleCalendar:
    """One calendar.

    Attributes:
        id: Google's id: the address of its owner for a primary calendar.
        name: Its summary.
        owner: The address of the one who owns its data.
        role: The account's access role.
        pushes: Whether it can have a channel; public holidays cannot.
        events: The events by id, cancelled ones too.
        log: The ids of changed events in the order of their changes.
    """

    id: str
    name: str
    owner: str
    is_primary: bool = False
    role: str = "owner"
    zone: str = "Europe/Berlin"
    pushes: bool = True
    events: dict[str, JSON] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


class GoogleCalendars:
    """The calendars of one account.

    Args:
        address: The account's address.
        clock: The simulated time.
    """

    def __init__(self, address: str, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self.listener: Callable[[GoogleCalendar | None], None] | None = None
        """Called after each change of a calendar's events; with None, of the list of calendars."""
        self.by_id: dict[str, GoogleCalendar] = {}
        self.epoch = 0
        self.told: list[JSON] = []
        self.by_id[address] = GoogleCalendar(address, address, address, is_primary=True)

    def add(self, name: str, owner: str, *, role: str = "owner", pushes: bool = True) -> GoogleCalendar:
        """Add a calendar; one of another owner is shared."""
        made = GoogleCalendar(f"c_{uuid.uuid4().hex}@group.calendar.google.com", name, owner, role=role, pushes=pushes)
        self.by_id[made.id] = made
        self._notify(None)
        return made

    def remove(self, calendar: GoogleCalendar) -> None:
        """Remove a calendar from the account's list."""
        del self.by_id[calendar.id]
        self._notify(None)

    def _notify(self, calendar: GoogleCalendar | None) -> None:
        if self.listener is not None:
            self.listener(calendar)

    def find(self, calendar_id: str) -> GoogleCalendar:
        """Return a calendar, the account's own one by "primary" as well.

        Raises:
            MailboxError: There is none.
        """
        found = self.by_id.get(self._address if calendar_id == "primary" else calendar_id)
        if found is None:
            raise MailboxError("not_found", f"no calendar {calendar_id}")
        return found

    def event(self, calendar: GoogleCalendar, event_id: str) -> JSON:
        """Return an event.

        Raises:
            MailboxError: There is none and never was.
        """
        if event_id not in calendar.events:
            raise MailboxError("not_found", f"no event {event_id}")
        return calendar.events[event_id]

    def create(self, calendar: GoogleCalendar, fields: Mapping[str, Any], event_id: str = "", uid: str = "") -> JSON:
        """Add an event; without an id or a UID it gets one.

        Raises:
            MailboxError: A field is unknown, a time is missing, or the id is taken, also by a deleted event.
        """
        _check(fields)
        if not {"start", "end"} <= fields.keys():
            raise MailboxError("invalid", "start and end are missing")
        if fields.get("recurrence") and "dateTime" in fields["start"] and not fields["start"].get("timeZone"):
            raise MailboxError("invalid", "Missing time zone definition for start time.")
        event_id = event_id or uuid.uuid4().hex
        if event_id in calendar.events:
            raise MailboxError("conflict", "The requested identifier already exists.")
        own = {"email": calendar.id, "self": True}
        made = {
            "id": event_id, "iCalUID": uid or f"{event_id}@google.com", "status": "confirmed", "created": self._now(),
            "creator": {"email": self._address, "self": True}, "organizer": own, "sequence": 0,
            "reminders": {"useDefault": True}, "eventType": "default",
            "htmlLink": f"https://www.google.com/calendar/event?eid={event_id}", **_with_offsets(fields),
        }  # fmt: skip
        calendar.events[event_id] = made
        self._touch(calendar, made)
        return made

    def update(self, calendar: GoogleCalendar, event: JSON, fields: Mapping[str, Any]) -> JSON:
        """Change fields of an event; None removes one."""
        _check(fields)
        for name, value in _with_offsets(fields).items():
            if value is None:
                event.pop(name, None)
            else:
                event[name] = value
        if fields.keys() & {"start", "end", "recurrence"}:
            event["sequence"] += 1
        self._touch(calendar, event)
        return event

    def invite(self, event: JSON, organizer: str) -> None:
        """Add this account's copy of a meeting to its own calendar: an attendee's, with the meeting's id."""
        kept = {name: value for name, value in event.items() if name not in ("reads", "etag", "creator")}
        attendees = [
            {**{name: value for name, value in one.items() if name != "self"}, **self._own(one)}
            for one in event.get("attendees", ())
        ]
        copy = {**kept, "organizer": {"email": organizer}, "creator": {"email": organizer}, "attendees": attendees}
        calendar = self.by_id[self._address]
        calendar.events[event["id"]] = copy
        self._touch(calendar, copy)

    def hear(self, event: JSON, answer: JSON) -> None:
        """Note an attendee's answer in this account's copy of a meeting, if it has one."""
        for calendar in self.by_id.values():
            one = self._copy(calendar, event)
            if one is not None and one is not event:
                shared = {name: answer[name] for name in ("responseStatus", "comment") if name in answer}
                one["attendees"] = [
                    {**each, **shared} if each["email"] == answer["email"] else each for each in one["attendees"]
                ]
                self._touch(calendar, one)

    def call_off(self, event: JSON) -> None:
        """Note in this account's copy of a meeting that its organizer cancelled it, if it has one."""
        for calendar in self.by_id.values():
            one = self._copy(calendar, event)
            if one is not None and one["status"] != "cancelled":
                self._cancel(calendar, one)

    def _own(self, attendee: JSON) -> JSON:
        return {"self": True} if attendee["email"].lower() == self._address.lower() else {}

    def read(self, calendar: GoogleCalendar, event: JSON) -> None:
        """Count a read of an event: after so many of them, the meeting that was asked for has its address."""
        if event.get("reads", 0) > 0:
            event["reads"] -= 1
            if not event["reads"] and self.meet(event):
                self._touch(calendar, event)

    def meet(self, event: JSON) -> bool:
        """Give the meeting that an event asks for its address; return whether it asks for one."""
        request = event.get("conferenceData", {}).get("createRequest", {})
        if request.get("status", {}).get("statusCode") != "pending":
            return False
        code = f"{event['id'][:3]}-{event['id'][3:7]}-{event['id'][7:10]}"
        url = f"https://meet.example.test/{code}"
        event["conferenceData"] = {
            "createRequest": {**request, "status": {"statusCode": "success"}},
            "conferenceSolution": {"key": request["conferenceSolutionKey"], "name": "Google Meet"},
            "conferenceId": code,
            "entryPoints": [{"entryPointType": "video", "uri": url, "label": url}],
        }
        event["hangoutLink"] = url
        return True

    def delete(self, calendar: GoogleCalendar, event: JSON) -> None:
        """Delete an event: of a series with its changed instances, of which no trace comes; its id stays taken."""
        for one in [one for one in calendar.events.values() if one.get("recurringEventId") == event["id"]]:
            del calendar.events[one["id"]]
        self._cancel(calendar, event)

    def change_instance(
        self, calendar: GoogleCalendar, master: JSON, original: Mapping[str, str], fields: Mapping[str, Any]
    ) -> JSON:
        """Change or cancel one instance of a series, which becomes an exception.

        Args:
            calendar: The calendar.
            master: The series.
            original: The start that the series gives the instance: `date`, or `dateTime` with an offset.
            fields: The fields that differ; the status "cancelled" cancels it.
        """
        _check(fields)
        event_id = f"{master['id']}_{_stamp(original)}"
        event = calendar.events.get(event_id) or unchanged_instance(master, original)
        if fields.get("status") == "cancelled":
            self._cancel(calendar, event)
            return event
        return self.update(calendar, event, {"status": "confirmed", **fields})

    def _cancel(self, calendar: GoogleCalendar, event: JSON) -> None:
        event["status"] = "cancelled"
        self._touch(calendar, event)

    def _copy(self, calendar: GoogleCalendar, event: JSON) -> JSON | None:
        """Return a calendar's copy of a meeting, or of an instance that its copy of the series has; None for none."""
        master = calendar.events.get(event.get("recurringEventId", ""))
        if event["id"] in calendar.events or master is None:
            return calendar.events.get(event["id"])
        return unchanged_instance(master, event["originalStartTime"])

    def _touch(self, calendar: GoogleCalendar, event: JSON) -> None:
        calendar.events[event["id"]] = event  # an instance that was as the series has it until now
        calendar.log.append(event["id"])
        event["updated"] = self._now()
        event["etag"] = f'"{len(calendar.log):016d}"'
        self._notify(calendar)

    def _now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")


def unchanged_instance(master: JSON, original: Mapping[str, str]) -> JSON:
    """Return the instance of a series that begins at an original start, as the series has it."""
    kept = {name: value for name, value in master.items() if name != "recurrence"}
    begin = dict(original)
    if "timeZone" in master["start"]:
        begin.setdefault("timeZone", master["start"]["timeZone"])
    ids = {"id": f"{master['id']}_{_stamp(original)}", "recurringEventId": master["id"], "originalStartTime": begin}
    return {**kept, **ids, "start": begin, "end": _shifted(master, original)}


def shown(event: JSON) -> JSON:
    """Return an event as the API shows it: a cancelled one keeps little more than its ids."""
    whole = {"kind": "calendar#event", **event}
    whole.pop("reads", None)
    if event["status"] == "cancelled":
        return {name: whole[name] for name in _SPARSE if name in whole}
    return whole


def etag_of(*parts: object) -> str:
    """Return an etag in Google's form."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"'


def _check(fields: Mapping[str, Any]) -> None:
    if unknown := sorted(fields.keys() - FIELDS):
        raise MailboxError("invalid", f"no field {unknown[0]} of an event")


def _with_offsets(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an event as Google keeps them: a wall clock with a zone has its offset ever after."""
    found = dict(fields)
    for name in ("start", "end"):
        given = fields.get(name) or {}
        if "dateTime" in given and given.get("timeZone"):
            clock = datetime.fromisoformat(given["dateTime"])
            if clock.tzinfo is None:
                found[name] = {**given, "dateTime": clock.replace(tzinfo=_zone(given["timeZone"])).isoformat()}
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise MailboxError("invalid", "Invalid time zone definition for start time.") from error


def _stamp(original: Mapping[str, str]) -> str:
    """Return the end of an instance's id: its original start, in UTC."""
    if "date" in original:
        return original["date"].replace("-", "")
    return datetime.fromisoformat(original["dateTime"]).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _shifted(master: JSON, original: Mapping[str, str]) -> JSON:
    """Return the end of an instance that begins at its original start."""
    if "date" in original:
        days = date.fromisoformat(master["end"]["date"]) - date.fromisoformat(master["start"]["date"])
        return {"date": (date.fromisoformat(original["date"]) + days).isoformat()}
    length = datetime.fromisoformat(master["end"]["dateTime"]) - datetime.fromisoformat(master["start"]["dateTime"])
    end = datetime.fromisoformat(original["dateTime"]) + length
    zone = {"timeZone": master["end"]["timeZone"]} if "timeZone" in master["end"] else {}
    return {"dateTime": end.isoformat(), **zone}
