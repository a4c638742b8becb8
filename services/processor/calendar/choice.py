"""The filters of a list of calendar events."""

from dataclasses import dataclass

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import check_id

_CATEGORIES = 25
_CATEGORY_CHARACTERS = 255


@dataclass(frozen=True)
class Choice:
    """The events that a caller wants; the default wants all.

    Args:
        has_meeting: Whether they have an online meeting; None for both.
        importances: Their importances; none means all.
        categories: Categories, case-folded, of which an event has one at least; none means all events.
        conversation_id: Their conversation; empty means all events.
    """

    has_meeting: bool | None = None
    importances: frozenset[int] = frozenset()
    categories: frozenset[str] = frozenset()
    conversation_id: str = ""

    @property
    def is_all(self) -> bool:
        """Whether every event is wanted."""
        return self == Choice()

    def fits(self, event: event_pb2.CalendarEvent) -> bool:
        """Return whether an event is wanted."""
        has_meeting = event.HasField("online_meeting")
        return (
            self.has_meeting in (None, has_meeting)
            and self.conversation_id in ("", event.conversation_id)
            and (not self.importances or event.importance in self.importances)
            and (not self.categories or any(one.casefold() in self.categories for one in event.categories))
        )


def choice_of(request: pb2.ListCalendarEventsRequest) -> Choice:
    """Check the filters of a request.

    Raises:
        FieldInvalid: A filter is out of its range.
    """
    importances = frozenset(request.importances)
    if not importances <= set(event_pb2.EventImportance.values()):
        raise FieldInvalid.of("importances", "must be importances of the contract")
    categories = list(request.categories)
    if len(categories) > _CATEGORIES or not all(0 < len(one) <= _CATEGORY_CHARACTERS for one in categories):
        raise FieldInvalid.of(
            "categories", f"must have at most {_CATEGORIES} of 1 to {_CATEGORY_CHARACTERS} characters"
        )
    has_meeting = request.has_online_meeting if request.HasField("has_online_meeting") else None
    conversation_id = check_id("conversation_id", request.conversation_id) if request.conversation_id else ""
    return Choice(has_meeting, importances, frozenset(one.casefold() for one in categories), conversation_id)
