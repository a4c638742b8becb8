"""Events as Graph answers them, in UTC."""

from typing import Any

from services.processor.calendar.mapping.parts import CalendarOfEvents

CALENDAR = CalendarOfEvents("019a9f0e-7c1e-7000-8000-00000000000c")
UTC_MIDNIGHT = {"dateTime": "2026-03-08T00:00:00.0000000", "timeZone": "UTC"}


def graph_event(**changed: Any) -> dict[str, Any]:
    """Return a single event of an hour in New York, with changes."""
    event: dict[str, Any] = {
        "@odata.etag": 'W/"abc"',
        "id": "AAMkAD-one=",
        "changeKey": "abc",
        "iCalUId": "040000008200E0",
        "type": "singleInstance",
        "subject": "Review",
        "body": {"contentType": "text", "content": "Bring numbers."},
        "start": {"dateTime": "2026-03-02T14:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-03-02T15:00:00.0000000", "timeZone": "UTC"},
        "originalStartTimeZone": "Eastern Standard Time",
        "originalEndTimeZone": "Eastern Standard Time",
        "isAllDay": False,
        "isCancelled": False,
        "isOrganizer": True,
        "organizer": {"emailAddress": {"name": "Anna", "address": "anna@contoso.test"}},
        "attendees": [],
        "importance": "normal",
        "sensitivity": "normal",
        "showAs": "busy",
    }
    return {**event, **changed}


def weekly(**changed: Any) -> dict[str, Any]:
    """Return a series on Mondays at 09:00 in New York, which passes the change of 8 March 2026."""
    recurrence = {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"},
        "range": {"type": "noEnd", "startDate": "2026-03-02", "recurrenceTimeZone": "Eastern Standard Time"},
    }
    return graph_event(type="seriesMaster", id="AAMkAD-series=", **{"recurrence": recurrence, **changed})
