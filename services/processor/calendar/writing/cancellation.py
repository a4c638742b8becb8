"""Check a cancellation before it is stored."""

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.errors import CalendarEventNotOrganized, CalendarFieldUnsupported
from services.processor.calendar.writing.content import check_notify_of
from services.providers.names import GOOGLEWS


def check_cancellation_for(
    provider: str, event: event_pb2.CalendarEvent, request: pb2.CancelCalendarEventRequest
) -> None:
    """Check that an event can be cancelled, and its provider notifies those whom the caller chose.

    Args:
        provider: "ms365" or "googlews".
        event: The event as mailmesh last read it.
        request: A cancellation with a well-formed comment.

    Raises:
        CalendarEventNotOrganized: The calendar's owner is not the organizer.
        CalendarNotifyUnsupported: The provider does not let a caller choose in this way.
        CalendarFieldUnsupported: The provider has no comment of a cancellation.
    """
    if not event.is_organizer:
        raise CalendarEventNotOrganized(metadata={"calendar_event_id": event.calendar_event_id})
    check_notify_of(provider, request.notify, has_attendees=bool(event.attendees))
    if request.comment and provider == GOOGLEWS:
        raise CalendarFieldUnsupported(metadata={"provider": provider, "field": "comment"})
