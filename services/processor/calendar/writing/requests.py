"""The use cases of callers: commit a write, read it, decide about it."""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from datetime import timedelta

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from services.meshkit.queue import WakeQueue
from services.processor.calendar import occurrence
from services.processor.calendar.errors import (
    CalendarEventNotFound,
    CalendarNotFound,
    CalendarReadOnly,
    CalendarWriteNotFound,
    CalendarWriteNotUncertain,
    CalendarWriteQueueFull,
    OnlineMeetingNotAllowed,
)
from services.processor.calendar.occurrence import Occurrence, columns_of
from services.processor.calendar.rows import CalendarRow
from services.processor.calendar.store import calendars, events, writes
from services.processor.calendar.write_rows import Content, EventContent, Kind, State, WriteRow
from services.processor.calendar.writing.answer import check_answer, check_answer_for, check_comment
from services.processor.calendar.writing.cancellation import check_cancellation_for
from services.processor.calendar.writing.changes import check_changes, check_changes_for
from services.processor.calendar.writing.content import check_event, check_for, check_key, check_notify
from services.processor.calendar.writing.outcome import finish
from services.processor.erased_requests import REASON as ERASED
from services.processor.errors import AbilityNotGranted, IdempotencyKeyReused, PersonErased
from services.processor.mailbox.kept import reserve
from services.processor.settings import ProcessorSettings
from services.processor.stream.store import tenants
from services.providers.abilities import CALENDAR_WRITE, connect_command

WAKE_PREFIX = "calendar-write:"
"""The beginning of the keys by which workers are woken for due writes."""


class CalendarWrites:
    """Commits writes and what callers decide about them.

    Args:
        pool: Connections to PostgreSQL.
        wakes: Wakes a worker when a write is due.
        settings: Bounds.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, wakes: WakeQueue, settings: ProcessorSettings, clock: Clock) -> None:
        self._pool = pool
        self._wakes = wakes
        self._settings = settings
        self._clock = clock

    async def create(
        self, request: pb2.CreateCalendarEventRequest, scope: list[str] | None, key_id: str | None = None
    ) -> tuple[WriteRow, bool]:
        """Commit a new event. Safe to call again: the same key with the same content is the same write.

        Args:
            request: The request, with a well-formed calendar id.
            scope: The tenants that the caller may see; None means all.
            key_id: The API key of the call, whose bytes are bounded; None for a call of the mesh.

        Returns:
            The write, and whether an earlier call had committed it.

        Raises:
            FieldInvalid: The content is missing, malformed or out of its range.
            MeshError: See `CreateCalendarEvent`.
        """
        check_key(request.idempotency_key)
        check_notify(request.notify)
        check_event(request.event)
        async with db.transaction(self._pool) as connection:
            calendar = await _calendar(connection, request.calendar_id, scope)
            row, was_known = await self._accept(connection, calendar, Kind.CREATE, request, key_id)
        return self._woken(row, was_known=was_known)

    async def respond(
        self, request: pb2.RespondToCalendarEventRequest, scope: list[str] | None, key_id: str | None = None
    ) -> tuple[WriteRow, bool]:
        """Commit an answer to an invitation; see `create` for the arguments and the result.

        Raises:
            FieldInvalid: The content is missing, malformed or out of its range.
            MeshError: See `RespondToCalendarEvent`.
        """
        check_key(request.idempotency_key)
        check_notify(request.notify)
        check_answer(request)
        return await self._on_event(Kind.RESPOND, request, scope, key_id)

    async def update(
        self, request: pb2.UpdateCalendarEventRequest, scope: list[str] | None, key_id: str | None = None
    ) -> tuple[WriteRow, bool]:
        """Commit changes of an event; see `create` for the arguments and the result.

        Raises:
            FieldInvalid: The content is missing, malformed or out of its range.
            MeshError: See `UpdateCalendarEvent`.
        """
        check_key(request.idempotency_key)
        check_notify(request.notify)
        check_changes(request)
        return await self._on_event(Kind.UPDATE, request, scope, key_id)

    async def cancel(
        self, request: pb2.CancelCalendarEventRequest, scope: list[str] | None, key_id: str | None = None
    ) -> tuple[WriteRow, bool]:
        """Commit a cancellation; see `create` for the arguments and the result.

        Raises:
            FieldInvalid: The content is missing, malformed or out of its range.
            MeshError: See `CancelCalendarEvent`.
        """
        check_key(request.idempotency_key)
        check_notify(request.notify)
        check_comment(request.comment)
        return await self._on_event(Kind.CANCEL, request, scope, key_id)

    async def _on_event(
        self, kind: Kind, request: EventContent, scope: list[str] | None, key_id: str | None
    ) -> tuple[WriteRow, bool]:
        if request.original_start:
            return await self._on_occurrence(kind, request, scope, key_id)
        event_id = request.calendar_event_id
        async with db.transaction(self._pool) as connection:
            event = await events.by_id(connection, event_id, scope)
            if event is None:
                # The change may have removed it: the caller who asks again learns the outcome.
                digest = digest_of(kind, request)
                found = await writes.by_event(connection, event_id, request.idempotency_key, digest, scope)
                if found is None or not found[1]:
                    raise CalendarEventNotFound(resource=event_id, metadata={"calendar_event_id": event_id})
                return found[0], True
            calendar = await _calendar(connection, event.calendar_id, scope)
            row, was_known = await self._accept(connection, calendar, kind, request, key_id, event)
        return self._woken(row, was_known=was_known)

    async def _on_occurrence(
        self, kind: Kind, request: EventContent, scope: list[str] | None, key_id: str | None
    ) -> tuple[WriteRow, bool]:
        series_id = request.calendar_event_id
        async with db.connection(self._pool) as connection:
            # The change may have removed the occurrence: the caller who asks again learns the outcome.
            digest = digest_of(kind, request)
            known = await writes.by_event(connection, series_id, request.idempotency_key, digest, scope)
        if known is not None and known[1]:
            return known[0], True
        found = await occurrence.find(self._pool, series_id, request.original_start, scope)
        if isinstance(request, pb2.UpdateCalendarEventRequest) and request.version and not found.is_changed:
            raise FieldInvalid.of("version", "must be empty for an occurrence that was not changed yet")
        async with db.transaction(self._pool) as connection:
            calendar = await _calendar(connection, found.series.calendar_id, scope)
            row, was_known = await self._accept(connection, calendar, kind, request, key_id, found.event, found)
        return self._woken(row, was_known=was_known)

    async def get(self, write_id: str, scope: list[str] | None) -> WriteRow:
        """Read a write.

        Raises:
            CalendarWriteNotFound: There is no such write in scope.
        """
        async with db.connection(self._pool) as connection:
            return _found(write_id, await writes.by_id(connection, write_id, scope))

    async def page(
        self, scope: list[str] | None, states: Sequence[int], before: str | None, limit: int
    ) -> tuple[list[WriteRow], bool]:
        """Read a page of writes, newest first, and whether more follow."""
        async with db.connection(self._pool) as connection:
            rows = await writes.page(connection, scope, states, before, limit + 1)
        return rows[:limit], len(rows) > limit

    async def resolve(
        self, write_id: str, resolution: "pb2.CalendarWriteResolution.ValueType", scope: list[str] | None
    ) -> WriteRow:
        """Decide about an uncertain write.

        Raises:
            CalendarWriteNotFound: There is no such write in scope.
            CalendarWriteNotUncertain: It is not uncertain.
            PersonErased: It is to be made again, and its request was erased.
        """
        async with db.transaction(self._pool) as connection:
            row = _found(write_id, await writes.by_id(connection, write_id, scope, lock=True))
            if row.state is not State.UNCERTAIN:
                raise CalendarWriteNotUncertain(subject=write_id, metadata={"calendar_write_id": write_id})
            if resolution == pb2.CALENDAR_WRITE_RESOLUTION_DONE:
                return _locked(await finish(connection, row, State.DONE, self._clock.now(), is_resolved=True))
            if row.reason == ERASED:
                raise PersonErased(subject=write_id, metadata={"calendar_write_id": write_id})
            again = await self._again(connection, row)
        return self._woken(again, was_known=False)[0]

    async def _again(self, connection: db.Connection, row: WriteRow) -> WriteRow:
        """Put an uncertain write back in doubt: the change is looked up before it is made again."""
        now = self._clock.now()
        values = {
            "state": State.WRITING,
            "reason": "",
            "detail": "",
            "due_at": now,
            "deadline_at": now + timedelta(seconds=self._settings.calendar_write_deadline_seconds),
            "finished_at": None,
            "attempts": 0,
            "submissions": 0,
            "version_before": "",
            "resolutions": row.resolutions + 1,
        }
        return _locked(await writes.change(connection, row.calendar_write_id, State.UNCERTAIN, values))

    async def _accept(
        self,
        connection: db.Connection,
        calendar: CalendarRow,
        kind: Kind,
        content: Content,
        key_id: str | None,
        event: event_pb2.CalendarEvent | None = None,
        found: Occurrence | None = None,
    ) -> tuple[WriteRow, bool]:
        digest = digest_of(kind, content)
        by_key = (connection, calendar.tenant_id, content.idempotency_key, digest)
        known = await writes.by_key(*by_key)
        made = None if known else await self._insert(connection, calendar, kind, content, key_id, event, found)
        accepted = (made, True) if made else known or await writes.by_key(*by_key)
        if accepted is None or not accepted[1]:
            raise IdempotencyKeyReused(metadata={"idempotency_key": content.idempotency_key})
        return accepted[0], made is None

    async def _insert(
        self,
        connection: db.Connection,
        calendar: CalendarRow,
        kind: Kind,
        content: Content,
        key_id: str | None,
        event: event_pb2.CalendarEvent | None,
        found: Occurrence | None,
    ) -> WriteRow | None:
        await _check(connection, calendar, content, event)
        tenant_id, now = calendar.tenant_id, self._clock.now()
        if await writes.count_waiting(connection, tenant_id) >= self._settings.calendar_writes_waiting:
            raise CalendarWriteQueueFull(metadata={"tenant_id": tenant_id})
        await reserve(connection, self._settings, tenant_id, key_id, content.ByteSize())
        row = {
            "calendar_write_id": new_id(),
            "tenant_id": tenant_id,
            "calendar_id": calendar.calendar_id,
            "provider_calendar_id": calendar.provider_calendar_id,
            "idempotency_key": content.idempotency_key,
            "digest": digest_of(kind, content),
            "provider": calendar.info.provider,
            "kind": kind,
            "content": content,
            "state": State.PENDING,
            "correlation_id": correlation_id(),
            "due_at": now,
            "deadline_at": now + timedelta(seconds=self._settings.calendar_write_deadline_seconds),
            "key_id": key_id,
            **columns_of(event, found),
        }
        return await writes.insert(connection, row)

    def _woken(self, row: WriteRow, *, was_known: bool) -> tuple[WriteRow, bool]:
        if not was_known:
            self._wakes.wake(f"{WAKE_PREFIX}{row.tenant_id}")
        return row, was_known


def digest_of(kind: Kind, request: Content) -> bytes:
    """Return the digest of a write's content, without its key."""
    content = deepcopy(request)
    content.ClearField("idempotency_key")
    return hashlib.sha256(bytes([kind]) + content.SerializeToString(deterministic=True)).digest()


async def _calendar(connection: db.Connection, calendar_id: str, scope: list[str] | None) -> CalendarRow:
    row = await calendars.by_id(connection, calendar_id, scope)
    if row is None or not row.is_listed:
        raise CalendarNotFound(resource=calendar_id, metadata={"calendar_id": calendar_id})
    return row


async def _check(
    connection: db.Connection, calendar: CalendarRow, content: Content, stored: event_pb2.CalendarEvent | None
) -> None:
    """Check that the tenant lets mailmesh write, the account may change the calendar, and the provider can hold it."""
    await _check_ability(connection, calendar)
    if not calendar.info.can_write:
        raise CalendarReadOnly(subject=calendar.calendar_id, metadata={"calendar_id": calendar.calendar_id})
    if stored is None:
        assert isinstance(content, pb2.CreateCalendarEventRequest)  # noqa: S101 - every other one has its event
        _check_new(calendar, content)
    elif isinstance(content, pb2.RespondToCalendarEventRequest):
        check_answer_for(calendar.info.provider, stored, content)
    elif isinstance(content, pb2.CancelCalendarEventRequest):
        check_cancellation_for(calendar.info.provider, stored, content)
    else:
        assert isinstance(content, pb2.UpdateCalendarEventRequest)  # noqa: S101 - the last kind
        check_changes_for(calendar.info.provider, stored, content)


def _check_new(calendar: CalendarRow, content: pb2.CreateCalendarEventRequest) -> None:
    info, event = calendar.info, content.event
    check_for(info.provider, event, content.notify)
    allowed = list(info.online_meeting_providers)
    if event.online_meeting_provider and event.online_meeting_provider not in allowed:
        metadata = {"asked": event.online_meeting_provider, "allowed": ", ".join(allowed)}
        raise OnlineMeetingNotAllowed(subject=calendar.calendar_id, metadata=metadata)


async def _check_ability(connection: db.Connection, calendar: CalendarRow) -> None:
    found = await tenants.granted(connection, calendar.tenant_id)
    if found is None:
        raise CalendarNotFound(resource=calendar.calendar_id, metadata={"calendar_id": calendar.calendar_id})
    provider, abilities = found
    if CALENDAR_WRITE not in abilities:
        command = connect_command(provider, calendar.tenant_id, (CALENDAR_WRITE,))
        metadata = {"ability": CALENDAR_WRITE, "tenant_id": calendar.tenant_id, "command": command}
        message = f"The tenant has not granted {CALENDAR_WRITE}. Connect its account again with this ability: {command}"
        raise AbilityNotGranted(message, subject=calendar.tenant_id, metadata=metadata)


def _found(write_id: str, row: WriteRow | None) -> WriteRow:
    if row is None:
        raise CalendarWriteNotFound(resource=write_id, metadata={"calendar_write_id": write_id})
    return row


def _locked(row: WriteRow | None) -> WriteRow:
    assert row is not None  # noqa: S101 - the row is locked in the state that was expected
    return row
