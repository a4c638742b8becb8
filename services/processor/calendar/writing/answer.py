"""Check an answer to an invitation before it is stored."""

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.processor.calendar.errors import (
    CalendarEventNotInvited,
    CalendarFieldUnsupported,
    CalendarNotifyUnsupported,
)
from services.providers.names import MS365

COMMENT_CHARACTERS = 1000


def check_comment(comment: str) -> None:
    """Check a comment. Raises `FieldInvalid`."""
    if len(comment) > COMMENT_CHARACTERS or "\0" in comment:
        raise FieldInvalid.of("comment", f"must have at most {COMMENT_CHARACTERS} characters, and no NUL")


def check_answer(request: pb2.RespondToCalendarEventRequest) -> None:
    """Check an answer.

    Raises:
        FieldInvalid: A field is missing, malformed or out of its range.
    """
    if request.answer not in pb2.CalendarAnswer.values() or request.answer == pb2.CALENDAR_ANSWER_UNSPECIFIED:
        raise FieldInvalid.of("answer", "must be ACCEPTED, TENTATIVE or DECLINED")
    check_comment(request.comment)


def check_answer_for(provider: str, event: event_pb2.CalendarEvent, request: pb2.RespondToCalendarEventRequest) -> None:
    """Check that an event can be answered, and its provider tells those whom the caller chose.

    Args:
        provider: "ms365" or "googlews".
        event: The event as mailmesh last read it.
        request: An answer that `check_answer` has passed.

    Raises:
        CalendarEventNotInvited: The calendar's owner is the organizer.
        CalendarNotifyUnsupported: The provider does not let a caller choose in this way.
        CalendarFieldUnsupported: The provider would not deliver the comment.
    """
    if event.is_organizer:
        raise CalendarEventNotInvited(metadata={"calendar_event_id": event.calendar_event_id})
    if provider != MS365:
        return
    if request.notify == pb2.CALENDAR_NOTIFY_EXTERNAL:
        metadata = {"provider": provider, "notify": pb2.CalendarNotify.Name(request.notify)}
        raise CalendarNotifyUnsupported(metadata=metadata)
    if request.comment and request.notify == pb2.CALENDAR_NOTIFY_NONE:
        raise CalendarFieldUnsupported(metadata={"provider": provider, "field": "comment"})
