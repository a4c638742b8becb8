"""The calendars of a Microsoft account: events, series with changed and deleted instances, a log for delta queries."""

import base64
import uuid
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime
from typing import Any

from simulator.clock import Clock
from simulator.mailboxes.calendar_events import Calendar, CalendarEvent
from simulator.mailboxes.mailbox import MailboxError
from simulator.mailboxes.occurrences import named, occurrence_id, occurrence_of

JSON = dict[str, Any]
_DEFAULTS: JSON = {
    "subject": "",
    "body": "",
    "isAllDay": False,
    "isCancelled": False,
    "isDraft": False,
    "isOrganizer": True,
    "importance": "normal",
    "sensitivity": "normal",
    "showAs": "busy",
    "categories": [],
    "attendees": [],
    "locations": [],
    "isReminderOn": True,
    "reminderMinutesBeforeStart": 15,
    "isOnlineMeeting": False,
    "onlineMeetingProvider": "unknown",
    "onlineMeeting": None,
    "hasAttachments": False,
    "recurrence": None,
    "originalStartTimeZone": "UTC",
    "originalEndTimeZone": "UTC",
    "organizer": None,
    "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
}
UNANSWERED: JSON = {"response": "notResponded", "time": "0001-01-01T00:00:00Z"}
"""The answer of an attendee who has not answered."""
FIELDS = frozenset(_DEFAULTS) | {"start", "end"}
"""The fields that a test gives; `start` and `end` are a wall clock in UTC, `body` is text."""


Listener = Callable[[Calendar, CalendarEvent, str], None]
"""Called after each change of an event, with its kind: "created", "updated" or "deleted"."""


class Calendars:
    """The calendars of one account.

    Args:
        address: The account's address.
        clock: The simulated time.
    """

    def __init__(self, address: str, clock: Clock) -> None:
        self._clock = clock
        self.listener: Listener | None = None
        self.by_id: dict[str, Calendar] = {}
        self.told: list[JSON] = []
        self.add("Calendar", address, is_default=True)

    def add(self, name: str, owner: str, *, is_default: bool = False, can_edit: bool = True) -> Calendar:
        """Add a calendar; one of another owner is shared."""
        made = Calendar(_new_id("AAMkAGCal"), name, owner, is_default, can_edit)
        self.by_id[made.id] = made
        return made

    def find(self, calendar_id: str) -> Calendar:
        """Return a calendar.

        Raises:
            MailboxError: There is none.
        """
        if calendar_id not in self.by_id:
            raise MailboxError("not_found", f"no calendar {calendar_id}")
        return self.by_id[calendar_id]

    def event(self, calendar: Calendar, event_id: str) -> CalendarEvent:
        """Return an event of a calendar, or an unchanged occurrence of a series, which is kept once it is changed.

        Raises:
            MailboxError: There is none.
        """
        name = named(event_id)
        if event_id in calendar.events:
            return calendar.events[event_id]
        if name is None or name[0] not in calendar.events:
            raise MailboxError("not_found", f"no event {event_id}")
        return occurrence_of(calendar.events[name[0]], name[1])

    def create(self, calendar: Calendar, fields: JSON, uid: str = "") -> CalendarEvent:
        """Add an event; without a UID it gets one.

        Raises:
            MailboxError: A field is unknown, or the times are missing.
        """
        _check(fields)
        if not {"start", "end"} <= fields.keys():
            raise MailboxError("invalid", "start and end are missing")
        now = self._clock.now()
        made = CalendarEvent(_new_id("AAMkAGEv"), uid or uuid.uuid4().hex.upper(), {**_DEFAULTS, **fields}, now, now)
        calendar.events[made.id] = made
        calendar.log.append(made.id)
        self._notify(calendar, made, "created")
        return made

    def update(self, calendar: Calendar, event: CalendarEvent, fields: JSON) -> CalendarEvent:
        """Change an event; an edited instance touches its series as well, as Graph's does."""
        _check(fields)
        event.fields.update(fields)
        self._touch(calendar, event)
        return event

    def delete(self, calendar: Calendar, event: CalendarEvent) -> None:
        """Delete an event; a series with all its instances, an instance silently: only its series changes."""
        if event.master:
            self.cancel(calendar, calendar.events[event.master], event.original[0])
            return
        for one in [one for one in calendar.events.values() if event.id in (one.id, one.master)]:
            del calendar.events[one.id]
            calendar.log.append(one.id)
        self._notify(calendar, event, "deleted")

    def cancel(self, calendar: Calendar, master: CalendarEvent, day: str) -> None:
        """Delete the instance of a local day. There is no trace of it but in the series."""
        date.fromisoformat(day)
        for one in [one for one in calendar.events.values() if one.master == master.id and one.original[0] == day]:
            del calendar.events[one.id]
        master.cancelled = sorted({*master.cancelled, day})
        self._touch(calendar, master)

    def change_instance(
        self, calendar: Calendar, master: CalendarEvent, day: str, original: str, fields: JSON
    ) -> CalendarEvent:
        """Change one instance of a series, which becomes an exception.

        Args:
            calendar: The calendar.
            master: The series.
            day: The local day of the instance.
            original: The UTC time that the series gives it.
            fields: The fields that differ from the series.
        """
        _check(fields)
        known = [one for one in calendar.events.values() if one.master == master.id and one.original[0] == day]
        if known:
            return self.update(calendar, known[0], fields)
        now = self._clock.now()
        content = {**master.fields, "recurrence": None, **fields}
        event_id = occurrence_id(master, date.fromisoformat(day))
        made = CalendarEvent(event_id, master.uid, content, now, now, master.id, (day, original))
        calendar.events[made.id] = made
        self._touch(calendar, made)
        return made

    def invite(self, event: CalendarEvent, organizer: JSON) -> None:
        """Add this account's copy of a meeting to its own calendar: an attendee's, with the meeting's uid."""
        own = {"isOrganizer": False, "responseStatus": UNANSWERED, "organizer": organizer}
        now, calendar = self._clock.now(), next(iter(self.by_id.values()))
        made = CalendarEvent(_new_id("AAMkAGEv"), event.uid, {**event.fields, **own}, now, now)
        calendar.events[made.id] = made
        calendar.log.append(made.id)
        self._notify(calendar, made, "created")

    def answer(self, calendar: Calendar, event: CalendarEvent, response: str) -> None:
        """Note the calendar's owner's answer in the own copy."""
        event.fields["responseStatus"] = self._status(response)
        self._touch(calendar, event)

    def hear(self, uid: str, original: str, address: str, response: str) -> None:
        """Note an attendee's answer in the organizer's copy of a meeting, if this account has it."""
        for calendar, one in self._copies(uid, original):
            if one.fields["isOrganizer"]:
                one.fields["attendees"] = [
                    {**each, "status": self._status(response)}
                    if each["emailAddress"]["address"].lower() == address.lower()
                    else each
                    for each in one.fields["attendees"]
                ]
                self._touch(calendar, one)

    def _status(self, response: str) -> JSON:
        return {"response": response, "time": f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}"}

    def call_off(self, uid: str, original: str) -> None:
        """Note in an attendee's copy of a meeting that its organizer cancelled it."""
        for calendar, one in self._copies(uid, original):
            one.fields["isCancelled"] = True
            self._touch(calendar, one)

    def _copies(self, uid: str, original: str) -> list[tuple[Calendar, CalendarEvent]]:
        """Return this account's copies of a meeting, or of the instance of a local day."""
        found = []
        for calendar in self.by_id.values():
            same = [one for one in calendar.events.values() if one.uid == uid]
            kept = [one for one in same if one.original[0] == original]
            if not kept and original:
                masters = [one for one in same if one.kind == "seriesMaster" and original not in one.cancelled]
                kept = [occurrence_of(one, date.fromisoformat(original)) for one in masters]
            found += [(calendar, one) for one in kept]
        return found

    def tell(self, event: CalendarEvent, action: str, comment: str = "", to: Collection[str] | None = None) -> None:
        """Note that the attendees of an event, or those whom `to` names, get a mail; Graph leaves no choice."""
        every = [one["emailAddress"]["address"] for one in event.fields["attendees"]]
        addresses = every if to is None else sorted(to)
        if addresses:
            self.told.append({"event": event.id, "action": action, "comment": comment, "to": addresses})

    def read(self, calendar: Calendar, event: CalendarEvent) -> None:
        """Count a read of an event: after so many of them, its online meeting has its address."""
        if event.reads > 0:
            event.reads -= 1
            if not event.reads:
                self.meet(event)
                self._touch(calendar, event)

    def meet(self, event: CalendarEvent) -> None:
        """Give the online meeting of an event its address."""
        number = str(int(uuid.uuid5(uuid.NAMESPACE_URL, event.id)) % 10**9)
        event.fields["onlineMeeting"] = {
            "joinUrl": f"https://teams.example.test/l/meetup-join/{event.id}",
            "conferenceId": number,
            "tollNumber": "+49 30 901820",
        }

    def _touch(self, calendar: Calendar, event: CalendarEvent) -> None:
        event.is_changed = True
        calendar.events[event.id] = event
        for one in (event, calendar.events.get(event.master)):
            if one is not None:
                one.version += 1
                one.modified = self._clock.now()
                calendar.log.append(one.id)
        # Graph notifies of the series alone when an instance changes.
        self._notify(calendar, calendar.events.get(event.master, event), "updated")

    def _notify(self, calendar: Calendar, event: CalendarEvent, kind: str) -> None:
        if self.listener is not None:
            self.listener(calendar, event, kind)


def _check(fields: JSON) -> None:
    if unknown := sorted(fields.keys() - FIELDS):
        raise MailboxError("invalid", f"no field {unknown[0]} of an event")
    for name in ("start", "end"):
        if name in fields:
            datetime.fromisoformat(fields[name]).replace(tzinfo=UTC)


def _new_id(prefix: str) -> str:
    return prefix + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().replace("=", "") + "AAA="
