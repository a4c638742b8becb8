"""Check changes of an event before they are stored."""

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.processor.calendar.errors import (
    CalendarBodyHoldsMeeting,
    CalendarEventChanged,
    CalendarEventNotOrganized,
    CalendarFieldUnsupported,
)
from services.processor.calendar.mapping.times import local_day
from services.processor.calendar.mapping.windows import windows_zone
from services.processor.calendar.writing.content import (
    check_addresses,
    check_attendees,
    check_event,
    check_for,
    check_notify_of,
    check_rule,
)
from services.providers.names import MS365

VERSION_CHARACTERS = 2000
RULE_CHARACTERS = 1000
_ANY_DAY = (pb2.NewEventTime(date="2026-01-01"), pb2.NewEventTime(date="2026-01-02"))


def check_changes(request: pb2.UpdateCalendarEventRequest) -> None:
    """Check changes.

    Raises:
        FieldInvalid: A field is missing, malformed or out of its range.
    """
    changes = request.event
    if not changes.ListFields():
        raise FieldInvalid.of("event", "must have a field to change")
    if changes.HasField("start") != changes.HasField("end"):
        raise FieldInvalid.of("event.end", "must go with start")
    if len(request.version) > VERSION_CHARACTERS or not request.version.isprintable():
        raise FieldInvalid.of("version", "must be the version of an event, as mailmesh shows it")
    check_attendees("event.add_attendees", changes.add_attendees)
    check_addresses("event.remove_attendees", changes.remove_attendees)
    if {one.address.lower() for one in changes.add_attendees} & {one.lower() for one in changes.remove_attendees}:
        raise FieldInvalid.of("event.remove_attendees", "must have none of add_attendees")
    if changes.HasField("recurrence_rule") and not 0 < len(changes.recurrence_rule) <= RULE_CHARACTERS:
        raise FieldInvalid.of("event.recurrence_rule", f"must be a rule of 1 to {RULE_CHARACTERS} characters")
    check_event(_whole(changes))


def check_changes_for(provider: str, event: event_pb2.CalendarEvent, request: pb2.UpdateCalendarEventRequest) -> None:
    """Check that an event can be changed, and its provider can hold the changes.

    Args:
        provider: "ms365" or "googlews".
        event: The event as mailmesh last read it.
        request: Changes that `check_changes` has passed.

    Raises:
        CalendarEventNotOrganized: The calendar's owner is not the organizer.
        CalendarEventChanged: The event has another version than the caller named.
        CalendarBodyHoldsMeeting: Another body would end the online meeting.
        CalendarFieldUnsupported: The times of a series, a rule of an event that is no series, or a value that the
            provider cannot hold.
        CalendarRuleUnsupported: The provider cannot hold the rule.
        FieldInvalid: The start of the series is no instance of the rule.
        CalendarNotifyUnsupported: The provider does not let a caller choose in this way.
    """
    metadata = {"calendar_event_id": event.calendar_event_id}
    if not event.is_organizer:
        raise CalendarEventNotOrganized(metadata=metadata)
    if request.version not in ("", event.version):
        raise CalendarEventChanged(metadata={**metadata, "version": event.version})
    if provider == MS365 and request.event.HasField("body_text") and event.HasField("online_meeting"):
        raise CalendarBodyHoldsMeeting(metadata=metadata)
    if request.event.HasField("start") and event.kind == event_pb2.EVENT_KIND_MASTER:
        raise CalendarFieldUnsupported(metadata={"provider": provider, "field": "start"})
    if request.event.HasField("recurrence_rule"):
        _check_rule(provider, event, request.event.recurrence_rule)
    has_attendees = bool(event.attendees or request.event.add_attendees)
    check_for(provider, _whole(request.event), request.notify)
    check_notify_of(provider, request.notify, has_attendees=has_attendees)


def _check_rule(provider: str, event: event_pb2.CalendarEvent, rule: str) -> None:
    is_expanded = event.kind == event_pb2.EVENT_KIND_MASTER and bool(event.recurrence.rule)
    zone = event.recurrence.iana_zone
    is_held = provider != MS365 or event.is_all_day or bool(windows_zone(event.start.iana_zone))
    if not is_expanded or event.start.is_zone_approximate or not is_held:
        raise CalendarFieldUnsupported(metadata={"provider": provider, "field": "recurrence_rule"})
    check_rule(provider, rule, zone or "Etc/UTC", local_day(event.start))


def _whole(changes: pb2.CalendarEventChanges) -> pb2.NewCalendarEvent:
    """Return an event with the changes, for the checks of new events."""
    start, end = (changes.start, changes.end) if changes.HasField("start") else _ANY_DAY
    return pb2.NewCalendarEvent(
        subject=changes.subject, body_text=changes.body_text, location=changes.location, start=start, end=end
    )
