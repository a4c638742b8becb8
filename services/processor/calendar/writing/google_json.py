"""A new event as Google Calendar takes it."""

import base64
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.writing.content import rule_of

SEND_UPDATES = {
    pb2.CALENDAR_NOTIFY_ALL: "all",
    pb2.CALENDAR_NOTIFY_EXTERNAL: "externalOnly",
    pb2.CALENDAR_NOTIFY_NONE: "none",
}
JSON = dict[str, Any]
_VISIBILITY = {
    event_pb2.EVENT_VISIBILITY_PRIVATE: "private",
    event_pb2.EVENT_VISIBILITY_CONFIDENTIAL: "confidential",
}


def event_id(write_id: str) -> str:
    """Return the event's id of a write: its UUID in lower-case base32hex, which Google takes as an own id."""
    return base64.b32hexencode(UUID(write_id).bytes).decode().rstrip("=").lower()


def event_json(event: pb2.NewCalendarEvent, write_id: str) -> dict[str, Any]:
    """Return an event that `content.check_for` has passed.

    Args:
        event: The event.
        write_id: The write's UUID, which also names the request for a meeting.
    """
    made: dict[str, Any] = {
        "summary": event.subject,
        "description": event.body_text,
        "location": event.location,
        "start": time_json(event.start),
        "end": time_json(event.end),
        "attendees": [_attendee(one) for one in event.attendees],
        "visibility": _VISIBILITY.get(event.visibility, "default"),
        "transparency": "transparent" if event.busy == event_pb2.EVENT_BUSY_FREE else "opaque",
    }
    if event.HasField("reminder_minutes"):
        own = [{"method": "popup", "minutes": event.reminder_minutes}]
        made["reminders"] = {"useDefault": False, "overrides": own}
    if (rule := rule_of(event)) is not None:
        made["recurrence"] = [f"RRULE:{rule.text('' if event.start.date else event.start.time_zone)}"]
    if event.online_meeting_provider:
        key = {"type": event.online_meeting_provider}
        made["conferenceData"] = {"createRequest": {"requestId": write_id, "conferenceSolutionKey": key}}
    return made


def changes_json(changes: pb2.CalendarEventChanges) -> dict[str, Any]:
    """Return the fields of changes that `changes.check_changes_for` has passed."""
    named = (("subject", "summary"), ("body_text", "description"), ("location", "location"))
    made: dict[str, Any] = {to: getattr(changes, name) for name, to in named if changes.HasField(name)}  # type: ignore[arg-type]
    if changes.HasField("start"):
        # A patch merges objects: the other way of giving a time is removed.
        empty = {"date": None, "dateTime": None, "timeZone": None}
        made |= {"start": {**empty, **time_json(changes.start)}, "end": {**empty, **time_json(changes.end)}}
    return made


def attendees_json(present: Sequence[JSON], changes: pb2.CalendarEventChanges) -> list[JSON]:
    """Return the attendees after changes: the present ones as Google shows them, which keep their answers."""
    removed = {one.lower() for one in changes.remove_attendees}
    kept = [one for one in present if str(one.get("email", "")).lower() not in removed]
    known = {str(one.get("email", "")).lower() for one in kept}
    return [*kept, *(_attendee(one) for one in changes.add_attendees if one.address.lower() not in known)]


def recurrence_json(present: Sequence[str], rule: str) -> list[str]:
    """Return the lines of a series after another rule: those that delete or add single days stay."""
    return [f"RRULE:{rule}", *(line for line in present if not line.upper().startswith("RRULE"))]


def time_json(time: pb2.NewEventTime) -> dict[str, str]:
    """Return a time."""
    return {"date": time.date} if time.date else {"dateTime": time.local, "timeZone": time.time_zone}


def _attendee(one: pb2.NewAttendee) -> dict[str, Any]:
    made: dict[str, Any] = {"email": one.address}
    if one.name:
        made["displayName"] = one.name
    if one.role == event_pb2.ATTENDEE_ROLE_OPTIONAL:
        made["optional"] = True
    if one.role == event_pb2.ATTENDEE_ROLE_RESOURCE:
        made["resource"] = True
    return made
