"""A write to a calendar as it is stored."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TypeAlias

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2


class State(IntEnum):
    """The states of a write; the numbers are those of the contract and of the table."""

    PENDING = pb2.CALENDAR_WRITE_STATE_PENDING
    WRITING = pb2.CALENDAR_WRITE_STATE_WRITING
    DONE = pb2.CALENDAR_WRITE_STATE_DONE
    FAILED = pb2.CALENDAR_WRITE_STATE_FAILED
    UNCERTAIN = pb2.CALENDAR_WRITE_STATE_UNCERTAIN


UNFINISHED = (State.PENDING, State.WRITING)
"""The states of a write without an outcome."""


class Kind(IntEnum):
    """The kinds of writes; the numbers are those of the contract and of the table."""

    CREATE = pb2.CALENDAR_WRITE_KIND_CREATE
    RESPOND = pb2.CALENDAR_WRITE_KIND_RESPOND
    CANCEL = pb2.CALENDAR_WRITE_KIND_CANCEL
    UPDATE = pb2.CALENDAR_WRITE_KIND_UPDATE


EventContent: TypeAlias = (
    pb2.RespondToCalendarEventRequest | pb2.CancelCalendarEventRequest | pb2.UpdateCalendarEventRequest
)
"""The request of a write to an event that the calendar has."""
Content: TypeAlias = pb2.CreateCalendarEventRequest | EventContent
"""The request of a write."""
CONTENTS: dict[Kind, type[Content]] = {
    Kind.CREATE: pb2.CreateCalendarEventRequest,
    Kind.RESPOND: pb2.RespondToCalendarEventRequest,
    Kind.CANCEL: pb2.CancelCalendarEventRequest,
    Kind.UPDATE: pb2.UpdateCalendarEventRequest,
}
"""The requests by kind."""


@dataclass(frozen=True)
class WriteRow:
    """A write.

    Args:
        calendar_write_id: The write's UUID; also the value of the mark on an event that it makes.
        tenant_id: The UUID of the tenant whose account has the calendar.
        calendar_id: mailmesh's UUID of the calendar.
        provider_calendar_id: The provider's id of the calendar.
        idempotency_key: The caller's key, unique for the tenant.
        digest: The digest of the request, to recognise the same key with other content.
        provider: "ms365" or "googlews".
        kind: The kind.
        content: The request.
        state: The state.
        reason: The reason of the last failure, from the error catalogue; empty without one.
        detail: A sentence for people about it.
        correlation_id: The correlation id of the call.
        created_at: When it was committed.
        due_at: When a worker has to act next; None when it is done or waits for a person.
        deadline_at: The end of all attempts.
        finished_at: When it had its outcome.
        attempts: The failed attempts.
        submitted_at: When it was last submitted, or None.
        submissions: How often it was submitted without a sure refusal.
        calendar_event_id: mailmesh's UUID of the event; None before it is known.
        provider_event_id: The provider's id of the event; empty before it is known.
        series_id: mailmesh's UUID of the series of an occurrence that the caller named by its original start, or None.
        provider_series_id: The provider's id of that series, for an occurrence whose own id is not known yet.
        original_start: The original start of that occurrence: an instant in UTC, or a date.
        version_before: The provider's version of the event that the last submission changes; empty for a new event.
        was_given: Whether the event had the answer of the last submission already before it.
        version: The provider's version that the write made; empty before it is known.
        meeting: The online meeting that was asked for, as far as it is known.
        resolutions: How often a person decided.
        is_resolved: Whether a person decided the outcome.
    """

    calendar_write_id: str
    tenant_id: str
    calendar_id: str
    provider_calendar_id: str
    idempotency_key: str
    digest: bytes
    provider: str
    kind: Kind
    content: Content
    state: State
    reason: str
    detail: str
    correlation_id: str
    created_at: datetime
    due_at: datetime | None
    deadline_at: datetime
    finished_at: datetime | None
    attempts: int
    submitted_at: datetime | None
    submissions: int
    calendar_event_id: str | None
    provider_event_id: str
    series_id: str | None
    provider_series_id: str
    original_start: str
    version_before: str
    was_given: bool
    version: str
    meeting: event_pb2.OnlineMeeting
    resolutions: int
    is_resolved: bool

    @property
    def meeting_provider(self) -> str:
        """The kind of online meeting that was asked for; empty without one."""
        return self.creation.event.online_meeting_provider if self.kind is Kind.CREATE else ""

    @property
    def creation(self) -> pb2.CreateCalendarEventRequest:
        """The request of a new event."""
        assert isinstance(self.content, pb2.CreateCalendarEventRequest)  # noqa: S101 - of its kind
        return self.content

    @property
    def answer(self) -> pb2.RespondToCalendarEventRequest:
        """The request of an answer."""
        assert isinstance(self.content, pb2.RespondToCalendarEventRequest)  # noqa: S101 - of its kind
        return self.content

    @property
    def cancellation(self) -> pb2.CancelCalendarEventRequest:
        """The request of a cancellation."""
        assert isinstance(self.content, pb2.CancelCalendarEventRequest)  # noqa: S101 - of its kind
        return self.content

    @property
    def changes(self) -> pb2.UpdateCalendarEventRequest:
        """The request of changes."""
        assert isinstance(self.content, pb2.UpdateCalendarEventRequest)  # noqa: S101 - of its kind
        return self.content

    def message(self) -> pb2.CalendarWrite:
        """Return the write in the form of the contract."""
        made = pb2.CalendarWrite(
            calendar_write_id=self.calendar_write_id,
            tenant_id=self.tenant_id,
            calendar_id=self.calendar_id,
            provider=self.provider,
            idempotency_key=self.idempotency_key,
            kind=int(self.kind),  # type: ignore[arg-type]
            state=int(self.state),  # type: ignore[arg-type]
            reason=self.reason,
            detail=self.detail,
            attempts=self.attempts,
            calendar_event_id=self.calendar_event_id or "",
            provider_event_id=self.provider_event_id,
            version=self.version,
            is_resolved=self.is_resolved,
        )
        made.created_at.FromDatetime(self.created_at)
        if self.finished_at is not None:
            made.finished_at.FromDatetime(self.finished_at)
        if self.meeting.ByteSize():
            made.online_meeting.CopyFrom(self.meeting)
        return made


@dataclass(frozen=True)
class Target:
    """The event that a write is about to change, as the provider has it.

    Args:
        provider_event_id: The provider's id.
        version: The provider's version.
        was_given: Whether the event has the answer already that the write gives.
    """

    provider_event_id: str
    version: str
    was_given: bool = False


@dataclass(frozen=True)
class Made:
    """The event that a write made or changed, as the provider has it.

    Args:
        provider_event_id: The provider's id.
        version: The provider's version.
        meeting: Its online meeting; None while the provider shows none.
    """

    provider_event_id: str
    version: str
    meeting: event_pb2.OnlineMeeting | None = None
