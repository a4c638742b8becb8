"""The calendars of a Microsoft account and their events, as they are kept."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

JSON = dict[str, Any]


@dataclass(slots=True)
class CalendarEvent:
    """One event, series or changed instance.

    Attributes:
        id: Graph's id.
        fields: The content.
        master: The id of an instance's series; empty for others.
        original: The local day and the UTC time that the series gives an instance.
        cancelled: The local days of the deleted instances of a series.
        version: Grows with every change.
        transaction: The client's id of the request that made it.
        properties: The extended properties that clients have set.
        reads: The reads after which its online meeting has an address; -1 for none to come.
        is_changed: Whether an instance is stored apart from its series.
    """

    id: str
    uid: str
    fields: JSON
    created: datetime
    modified: datetime
    master: str = ""
    original: tuple[str, str] = ("", "")
    cancelled: list[str] = field(default_factory=list)
    version: int = 1
    transaction: str = ""
    properties: list[JSON] = field(default_factory=list)
    reads: int = -1
    is_changed: bool = True

    @property
    def kind(self) -> str:
        """Graph's type of the event."""
        if self.master:
            return "exception" if self.is_changed else "occurrence"
        return "seriesMaster" if self.fields["recurrence"] else "singleInstance"


@dataclass(slots=True)
class Calendar:
    """One calendar.

    Attributes:
        id: Graph's id.
        owner: Its owner's address.
        events: The events by id.
        log: The ids of changed events in the order of their changes; the place in it is the position of a delta token.
    """

    id: str
    name: str
    owner: str
    is_default: bool = False
    can_edit: bool = True
    events: dict[str, CalendarEvent] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
