"""The outcome of a write: its state and its event, in one transaction."""

from datetime import datetime, timedelta
from typing import Any

from mailmesh.calendar.v1 import calendar_event_pb2, calendar_pb2, event_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from services.meshkit import db
from services.processor.calendar.ids import event_uuid
from services.processor.calendar.mapping.fields import timestamp
from services.processor.calendar.store import writes
from services.processor.calendar.write_rows import Made, State, WriteRow
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.store import tenants

IN_DOUBT = "CALENDAR_WRITE_UNKNOWN"
_EVENTS = {
    State.DONE: "calendar.write.done",
    State.FAILED: "calendar.write.failed",
    State.UNCERTAIN: "calendar.write.uncertain",
}
_DETAIL_CHARACTERS = 500
FIRST_POLL = timedelta(seconds=1)
"""The time after which a new event is first asked for the address of its online meeting."""


async def finish(
    connection: db.Connection,
    row: WriteRow,
    state: State,
    at: datetime,
    *,
    reason: str = "",
    detail: str = "",
    made: Made | None = None,
    is_resolved: bool = False,
) -> WriteRow | None:
    """Store the outcome of a write and publish its event, as the last step before the caller's commit.

    Args:
        connection: A connection in a transaction of the caller's.
        row: The write as the caller has read it.
        state: DONE, FAILED or UNCERTAIN. A write that a person had made again is never reported as not made: its first
            submission is in doubt, so it becomes UNCERTAIN, and `detail` has why.
        at: The present time.
        reason: The reason from the error catalogue.
        detail: A sentence for people.
        made: The event, where it was found.
        is_resolved: Whether a person decided.

    Returns:
        The write, or None when another process has changed its state meanwhile: then nothing is published.
    """
    if row.resolutions and state is State.FAILED:
        detail = f"not made again, and the first submission is in doubt: {reason} {detail}".rstrip()
        state, reason = State.UNCERTAIN, IN_DOUBT
    values: dict[str, Any] = {
        "state": state,
        "reason": reason,
        "detail": detail[:_DETAIL_CHARACTERS],
        "due_at": None,
        "finished_at": at,
        "is_resolved": is_resolved,
    }
    if is_resolved:
        values["resolutions"] = row.resolutions + 1
    if made is not None:
        values |= _of_event(row, made, at)
    finished = await writes.change(connection, row.calendar_write_id, row.state, values)
    if finished is not None:
        await writes.read_calendar_soon(connection, row.calendar_id)
        await publish(connection, [await _event(connection, finished, at)])
    return finished


def meeting_of(row: WriteRow, made: Made | None) -> calendar_event_pb2.OnlineMeeting:
    """Return the online meeting that a write asked for, as the provider shows it; PENDING while it shows none."""
    if made is not None and made.meeting is not None:
        return made.meeting
    pending = calendar_event_pb2.ONLINE_MEETING_STATE_PENDING
    return calendar_event_pb2.OnlineMeeting(provider=row.meeting_provider, state=pending)


async def end(connection: db.Connection, row: WriteRow, at: datetime, why: str) -> WriteRow | None:
    """End a write that is not acted on any more, as the last step before the caller's commit; see `finish`."""
    if row.state is State.PENDING:
        return await finish(connection, row, State.FAILED, at, reason="CALENDAR_WRITE_EXPIRED", detail=why)
    if row.state is State.WRITING:
        detail = f"submitted, and could not be looked up: {why}"
        return await finish(connection, row, State.UNCERTAIN, at, reason=IN_DOUBT, detail=detail)
    await writes.change(connection, row.calendar_write_id, row.state, {"due_at": None})
    return None


def _of_event(row: WriteRow, made: Made, at: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {
        "calendar_event_id": row.calendar_event_id or event_uuid(row.calendar_id, made.provider_event_id),
        "provider_event_id": made.provider_event_id,
        "version": made.version,
    }
    if row.meeting_provider:
        meeting = meeting_of(row, made)
        is_ready = meeting.state == calendar_event_pb2.ONLINE_MEETING_STATE_READY
        values |= {"meeting": meeting.SerializeToString(), "due_at": None if is_ready else at + FIRST_POLL}
    return values


async def _event(connection: db.Connection, row: WriteRow, at: datetime) -> EventDraft:
    external_tenant_id, user_id = await tenants.account_of(connection, row.tenant_id)
    calendar = calendar_pb2.Calendar(
        calendar_id=row.calendar_id,
        tenant_id=row.tenant_id,
        provider=row.provider,
        provider_calendar_id=row.provider_calendar_id,
    )
    event = event_pb2.NormalizedCalendarEvent(
        provider=row.provider,
        tenant_id=row.tenant_id,
        external_tenant_id=external_tenant_id,
        user_id=user_id,
        event_type=_EVENTS[row.state],
        received_at=timestamp(at),
        correlation_id=row.correlation_id,
        reason=row.reason,
        detail=row.detail,
        calendar=calendar,
        source=mail_pb2.EVENT_SOURCE_COMMAND,
        calendar_write_id=row.calendar_write_id,
        calendar_event_id=row.calendar_event_id or "",
    )
    return EventDraft(calendar_event=event, change_id=f"{row.calendar_write_id}:{row.resolutions}")
