"""A new event as Microsoft Graph takes it."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.mapping.fields import member, text
from services.processor.calendar.mapping.graph_rules import recurrence_of
from services.processor.calendar.mapping.windows import windows_zone
from services.processor.calendar.writing.content import first_day, rule_of

JSON = dict[str, Any]
_UTC = "UTC"
_ROLES = {event_pb2.ATTENDEE_ROLE_OPTIONAL: "optional", event_pb2.ATTENDEE_ROLE_RESOURCE: "resource"}
_IMPORTANCE = {event_pb2.EVENT_IMPORTANCE_LOW: "low", event_pb2.EVENT_IMPORTANCE_HIGH: "high"}
_SENSITIVITY = {
    event_pb2.EVENT_VISIBILITY_PRIVATE: "private",
    event_pb2.EVENT_VISIBILITY_CONFIDENTIAL: "confidential",
}
_SHOW_AS = {
    event_pb2.EVENT_BUSY_FREE: "free",
    event_pb2.EVENT_BUSY_TENTATIVE: "tentative",
    event_pb2.EVENT_BUSY_OUT_OF_OFFICE: "oof",
    event_pb2.EVENT_BUSY_WORKING_ELSEWHERE: "workingElsewhere",
}


def event_json(event: pb2.NewCalendarEvent) -> dict[str, Any]:
    """Return an event that `content.check_for` has passed."""
    made: dict[str, Any] = {
        "subject": event.subject,
        "body": {"contentType": "text", "content": event.body_text},
        "start": time_json(event.start),
        "end": time_json(event.end),
        "isAllDay": bool(event.start.date),
        "attendees": [_attendee(one) for one in event.attendees],
        "importance": _IMPORTANCE.get(event.importance, "normal"),
        "sensitivity": _SENSITIVITY.get(event.visibility, "normal"),
        "showAs": _SHOW_AS.get(event.busy, "busy"),
        "categories": list(event.categories),
        "location": {"displayName": event.location},
    }
    if event.HasField("reminder_minutes"):
        made |= {"isReminderOn": True, "reminderMinutesBeforeStart": event.reminder_minutes}
    if (rule := rule_of(event)) is not None:
        made["recurrence"] = recurrence_of(rule, first_day(event), made["start"]["timeZone"])
    if event.online_meeting_provider:
        made |= {"isOnlineMeeting": True, "onlineMeetingProvider": event.online_meeting_provider}
    return made


def changes_json(changes: pb2.CalendarEventChanges) -> dict[str, Any]:
    """Return the fields of changes that `changes.check_changes_for` has passed."""
    made: dict[str, Any] = {}
    if changes.HasField("subject"):
        made["subject"] = changes.subject
    if changes.HasField("body_text"):
        made["body"] = {"contentType": "text", "content": changes.body_text}
    if changes.HasField("location"):
        made["location"] = {"displayName": changes.location}
    if changes.HasField("start"):
        made |= {"start": time_json(changes.start), "end": time_json(changes.end)}
        made["isAllDay"] = bool(changes.start.date)
    return made


def attendees_json(present: Sequence[JSON], changes: pb2.CalendarEventChanges) -> list[JSON]:
    """Return the attendees after changes: the present ones as Graph shows them, which keep their answers."""
    removed = {one.lower() for one in changes.remove_attendees}
    kept = [one for one in present if _address_of(one) not in removed]
    known = {_address_of(one) for one in kept}
    return [*kept, *(_attendee(one) for one in changes.add_attendees if one.address.lower() not in known)]


def _address_of(attendee: JSON) -> str:
    return text(member(attendee, "emailAddress"), "address").lower()


def time_json(time: pb2.NewEventTime) -> dict[str, str]:
    """Return a time; an all-day event goes from midnight to midnight in one zone."""
    if time.date:
        return {"dateTime": f"{date.fromisoformat(time.date).isoformat()}T00:00:00", "timeZone": _UTC}
    return {"dateTime": time.local, "timeZone": windows_zone(time.time_zone)}


def _attendee(one: pb2.NewAttendee) -> dict[str, Any]:
    address = {"address": one.address, "name": one.name or one.address}
    return {"type": _ROLES.get(one.role, "required"), "emailAddress": address}
