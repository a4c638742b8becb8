"""The use cases of callers: commit a send, read it, cancel it, decide about it."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from services.meshkit.queue import WakeQueue
from services.processor.erased_requests import REASON as ERASED
from services.processor.errors import IdempotencyKeyReused, PersonErased, TenantNotFound
from services.processor.mailbox.kept import reserve
from services.processor.outbox.content import checked
from services.processor.outbox.errors import SendNotCancellable, SendNotFound, SendNotUncertain, SendQueueFull
from services.processor.outbox.outcome import finish
from services.processor.outbox.rows import UNSUBMITTED, ReportRow, SendRow, State
from services.processor.outbox.sender import provider_of_sender
from services.processor.outbox.store import reports, sends, uploads
from services.processor.outbox.uploads import check_files
from services.processor.settings import ProcessorSettings
from services.processor.stream.errors import SealBroken

WAKE_PREFIX = "send:"
"""The beginning of the keys by which workers are woken for Processor's own queue."""
Answering = Callable[[db.Connection, pb2.SendRequest, str, str], Awaitable[None]]
"""Commits an answer to its conversation in the send's transaction: the request, the send's id, the key's id."""
_AHEAD = timedelta(days=30)


class Sends:
    """Commits sends and what callers decide about them.

    Args:
        pool: Connections to PostgreSQL.
        wakes: Wakes a worker when a send is due.
        settings: Bounds.
        clock: The time.
        answering: Commits answers to conversations.
    """

    def __init__(
        self, pool: db.Pool, wakes: WakeQueue, settings: ProcessorSettings, clock: Clock, answering: Answering
    ) -> None:
        self._pool = pool
        self._answering = answering
        self._wakes = wakes
        self._settings = settings
        self._clock = clock

    async def accept(
        self, request: pb2.SendRequest, *, is_in_scope: bool = True, key_id: str | None = None
    ) -> tuple[SendRow, bool]:
        """Commit a send. Safe to call again: the same key with the same content is the same send.

        Args:
            request: The request, with a well-formed tenant id.
            is_in_scope: Whether the caller may see the tenant. The content is checked first, for all callers alike.
            key_id: The API key of the call, whose bytes are bounded; None for a call of the mesh.

        Returns:
            The send, and whether an earlier call had committed it.

        Raises:
            FieldInvalid: The content is missing, malformed or out of its range.
            TenantNotFound: There is no such tenant.
            IdempotencyKeyReused: The key has another content.
            AbilityNotGranted: The tenant has not granted sending.
            SendQueueFull: The tenant has too many unfinished sends.
            TenantStorageFull: The tenant keeps too many bytes.
            KeyStorageFull: The API key keeps too many bytes.
            UploadNotFound: The tenant has no such file.
            UploadIncomplete: Parts of a file are missing.
            ConversationNotFound: The tenant has no such conversation.
            ConversationChanged: The conversation that is answered has changed since the caller read it.
            ConversationFinal: The conversation that is answered is closed or merged.
        """
        content, digest = checked(request), digest_of(request)
        now = self._clock.now()
        send_at = _send_at(content, now)
        if not is_in_scope:
            raise TenantNotFound.of(request.tenant_id)
        async with db.transaction(self._pool) as connection:
            by_key = (connection, request.tenant_id, request.idempotency_key, digest)
            known = await sends.by_key(*by_key)
            made = None if known else await self._insert(connection, content, digest, now, send_at, key_id)
            found = (made, True) if made else known or await sends.by_key(*by_key)
        if found is None or not found[1]:
            raise IdempotencyKeyReused(metadata={"idempotency_key": request.idempotency_key})
        row = found[0]
        if known is None and send_at is None:
            self._wakes.wake(f"{WAKE_PREFIX}{row.tenant_id}")
        return row, made is None

    async def get(self, send_id: str, scope: list[str] | None) -> SendRow:
        """Read a send.

        Raises:
            SendNotFound: There is no such send in scope.
            SealBroken: Its sealed content does not open.
        """
        async with db.connection(self._pool) as connection:
            return _opened(_found(send_id, await sends.by_id(connection, send_id, scope)))

    async def reports(self, send_id: str) -> list[ReportRow]:
        """Read the bounces and complaints about a send, oldest first."""
        async with db.connection(self._pool) as connection:
            return await reports.of_send(connection, send_id)

    async def page(
        self, scope: list[str] | None, states: "list[pb2.SendState.ValueType]", before: str | None, limit: int
    ) -> tuple[list[SendRow], bool]:
        """Read a page of sends without their bodies, newest first, and whether more follow."""
        async with db.connection(self._pool) as connection:
            return await sends.page(connection, scope, states, before, limit)

    async def cancel(self, send_id: str, scope: list[str] | None) -> SendRow:
        """Cancel a send of which nothing was ever submitted. Safe to call again.

        Raises:
            SendNotFound: There is no such send in scope.
            SendNotCancellable: It was submitted, or has its outcome.
        """
        async with db.transaction(self._pool) as connection:
            row = _found(send_id, await sends.by_id(connection, send_id, scope, lock=True))
            if row.state is State.CANCELLED:
                return row
            if row.state not in UNSUBMITTED or row.resolutions:
                raise SendNotCancellable(subject=send_id, metadata={"send_id": send_id})
            return _locked(await finish(connection, row, State.CANCELLED, self._clock.now()))

    async def resolve(
        self, send_id: str, resolution: "pb2.SendResolution.ValueType", scope: list[str] | None
    ) -> SendRow:
        """Decide about an uncertain send.

        Raises:
            SendNotFound: There is no such send in scope.
            SendNotUncertain: It is not uncertain.
            PersonErased: It is to be sent again, and its request was erased.
            SealBroken: It is to be sent again, and its sealed content does not open.
        """
        async with db.transaction(self._pool) as connection:
            row = _found(send_id, await sends.by_id(connection, send_id, scope, lock=True))
            if row.state is not State.UNCERTAIN:
                raise SendNotUncertain(subject=send_id, metadata={"send_id": send_id})
            if resolution == pb2.SEND_RESOLUTION_SENT:
                return _locked(await finish(connection, row, State.SENT, self._clock.now(), is_resolved=True))
            if row.reason == ERASED:
                raise PersonErased(subject=send_id, metadata={"send_id": send_id})
            again = await self._again(connection, _opened(row))
        self._wakes.wake(f"{WAKE_PREFIX}{row.tenant_id}")
        return again

    async def _again(self, connection: db.Connection, row: SendRow) -> SendRow:
        """Queue an uncertain send: its draft and its mark are looked up before another draft is made."""
        now = self._clock.now()
        values = {
            "state": State.QUEUED,
            "reason": "",
            "detail": "",
            "due_at": now,
            "deadline_at": now + timedelta(seconds=self._settings.send_deadline_seconds),
            "finished_at": None,
            "attempts": 0,
            "submitted_at": None,
            "submissions": 0,
            "resolutions": row.resolutions + 1,
        }
        return _locked(await sends.change(connection, row.send_id, [State.UNCERTAIN], values))

    async def _insert(
        self,
        connection: db.Connection,
        content: pb2.SendRequest,
        digest: bytes,
        now: datetime,
        send_at: datetime | None,
        key_id: str | None,
    ) -> SendRow | None:
        provider = await provider_of_sender(connection, content.tenant_id)
        files = await check_files(connection, content)
        if await sends.count_waiting(connection, content.tenant_id) >= self._settings.sends_waiting:
            raise SendQueueFull(metadata={"tenant_id": content.tenant_id})
        await reserve(connection, self._settings, content.tenant_id, key_id, content.ByteSize())
        due_at = send_at or now
        row = {
            "send_id": new_id(),
            "tenant_id": content.tenant_id,
            "idempotency_key": content.idempotency_key,
            "digest": digest,
            "provider": provider,
            "content": content,
            "state": State.QUEUED if send_at is None else State.SCHEDULED,
            "correlation_id": correlation_id(),
            "send_at": send_at,
            "due_at": due_at,
            "deadline_at": due_at + timedelta(seconds=self._settings.send_deadline_seconds),
            "key_id": key_id,
        }
        made = await sends.insert(connection, row)
        if made is not None and files:
            await uploads.attach(connection, made.send_id, files)
        if made is not None:
            await self._answering(connection, content, made.send_id, key_id or "")
        return made


def digest_of(request: pb2.SendRequest) -> bytes:
    """Return the digest of a request's content, without its key."""
    content = pb2.SendRequest()
    content.CopyFrom(request)
    content.ClearField("idempotency_key")
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


def _send_at(content: pb2.SendRequest, now: datetime) -> datetime | None:
    if not content.HasField("send_at"):
        return None
    try:
        asked = content.send_at.ToDatetime(UTC)
    except (ValueError, OverflowError) as exc:
        raise FieldInvalid.of("send_at", "must be a time") from exc
    if asked > now + _AHEAD:
        raise FieldInvalid.of("send_at", f"must be at most {_AHEAD.days} days ahead")
    return asked if asked > now else None


def _found(send_id: str, row: SendRow | None) -> SendRow:
    if row is None:
        raise SendNotFound(resource=send_id, metadata={"send_id": send_id})
    return row


def _opened(row: SendRow) -> SendRow:
    if row.is_broken:
        raise SealBroken(metadata={"tenant_id": row.tenant_id, "send_id": row.send_id})
    return row


def _locked(row: SendRow | None) -> SendRow:
    assert row is not None  # noqa: S101 - the row is locked in the state that was expected
    return row
