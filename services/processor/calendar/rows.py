"""Calendars and their events as they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.calendar.v1 import calendar_pb2 as pb2
from services.processor.calendar.mapping.fields import timestamp


class State(IntEnum):
    """The states of a calendar; the numbers are those of the contract and of the table."""

    AVAILABLE = pb2.CALENDAR_STATE_AVAILABLE
    READING = pb2.CALENDAR_STATE_READING
    FOLLOWED = pb2.CALENDAR_STATE_FOLLOWED
    WITHDRAWN = pb2.CALENDAR_STATE_WITHDRAWN


IN_USE = (State.READING, State.FOLLOWED)
"""The states in which a worker reads the calendar."""


class Phase(IntEnum):
    """The steps of reading a calendar."""

    CHANGES = 0
    """Read what changed since the cursor; without a cursor, a complete round begins."""
    ROUND = 1
    """Read the whole calendar."""
    CHECK = 2
    """Read each stored event that the complete round did not list."""
    MERGE = 4
    """Compare the stored entries of a complete round, where the parts of a series come on several pages."""
    CLEAR = 3
    """Delete the events of an earlier following. No caller sees them any more."""


@dataclass(frozen=True)
class CalendarRow:
    """A calendar.

    Args:
        calendar_id: mailmesh's UUID.
        tenant_id: The tenant whose account has it.
        provider_calendar_id: The provider's id.
        info: Name, owner and rights as the list had them, without state.
        is_listed: Whether the last list had it.
        state: Its state.
        reason: The reason of a withdrawal or of the last failure, from the error catalogue; empty without one.
        detail: A sentence for people about it.
        follows: How often it was followed; part of the keys of its events in the stream.
        followed_at: When it was last followed, or None.
        synced_at: The time up to which every change was read, or None.
        due_at: When a worker reads it next; None when it is not followed.
        failures: The failed readings in a row.
        is_listing: Whether the provider refuses to list changes, so that every round reads the whole calendar.
        cursor: The provider's link from which reading goes on; empty at the beginning of a complete round.
        round: The number of the last complete round, finished or not.
        phase: The step of reading.
        rounded_at: When the last complete round was finished, or None.
        unread: The number of its events that could not be read, at most 1000.
        is_pushed: Whether the provider pushed its changes when Ingest was last asked.
        poll_reason: The reason, from the error catalogue, for which it did not; empty without one.
        poll_detail: A sentence for people about it.
    """

    calendar_id: str
    tenant_id: str
    provider_calendar_id: str
    info: pb2.Calendar
    is_listed: bool
    state: State
    reason: str
    detail: str
    follows: int
    followed_at: datetime | None
    synced_at: datetime | None
    due_at: datetime | None
    failures: int
    is_listing: bool
    cursor: str
    round: int
    phase: Phase
    rounded_at: datetime | None
    unread: int
    is_pushed: bool
    poll_reason: str
    poll_detail: str

    def message(self) -> pb2.Calendar:
        """Return the calendar in the form of the contract."""
        made = pb2.Calendar()
        made.CopyFrom(self.info)
        made.calendar_id, made.tenant_id = self.calendar_id, self.tenant_id
        made.provider_calendar_id = self.provider_calendar_id
        made.state = int(self.state)  # type: ignore[assignment]
        made.reason, made.detail, made.unreadable_events = self.reason, self.detail, self.unread
        if self.state in IN_USE:
            made.is_pushed, made.poll_reason, made.poll_detail = self.is_pushed, self.poll_reason, self.poll_detail
        for name, moment in (("followed_at", self.followed_at), ("synced_at", self.synced_at)):
            if moment is not None:
                getattr(made, name).CopyFrom(timestamp(moment.astimezone(UTC)))
        return made


Exceptions = Mapping[str, event_pb2.CalendarEvent]
"""The changed instances of a series, by the local day of their original start."""


@dataclass(frozen=True)
class StoredEvent:
    """An event of a calendar with the changed instances of its series.

    Args:
        event: The event.
        revision: The number of its changes that were published or, in the first reading, stored.
        is_deleted: Whether it is gone at the provider.
        exceptions: Its changed instances.
    """

    event: event_pb2.CalendarEvent
    revision: int
    is_deleted: bool = False
    exceptions: Exceptions = field(default_factory=dict)


@dataclass(frozen=True)
class Unread:
    """An event, or a changed instance, that could not be read.

    Args:
        event_id: mailmesh's UUID of it.
        reason: The reason from the error catalogue.
        detail: A sentence about it.
    """

    event_id: str
    reason: str
    detail: str


@dataclass(frozen=True)
class SeenEvent:
    """The provider's present version of an event.

    Args:
        event_id: mailmesh's UUID of the event.
        event: The event; None when the provider does not have it any more, or when it could not be read.
        exceptions: Its changed instances.
        unread: The event itself or those of its changed instances that could not be read.
    """

    event_id: str
    event: event_pb2.CalendarEvent | None
    exceptions: Exceptions = field(default_factory=dict)
    unread: Sequence[Unread] = ()

    @property
    def is_unread(self) -> bool:
        """Whether the event itself could not be read, so that its stored version stays."""
        return any(one.event_id == self.event_id for one in self.unread)
