"""ReplayEvents: append the events of a range again, for readers that ask for replays."""

import hashlib
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.processor.v1 import processor_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.deadlines import budget
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import Caller
from services.meshkit.ids import check_id
from services.meshkit.shares import Shares
from services.processor.stream.cursor import Cursor, tag_of
from services.processor.stream.errors import ReplayQuotaReached, RequestIdReused
from services.processor.stream.filter import select
from services.processor.stream.metrics import REPLAYED
from services.processor.stream.pages import EARLIEST, LATEST, EventReader
from services.processor.stream.settled import settled
from services.processor.stream.store import replays
from services.processor.stream.store.replays import Range, Replay

MAX_EVENTS = 100_000
_BATCH_EVENTS = 200
_BATCH_BYTES = 1024 * 1024
_CALL_SECONDS = 600.0
_DAY = timedelta(days=1)
_REPLAY_BYTES = 64 * 1024
"""The bytes that a replay counts besides its events: they bound the number of replays."""
_CLOCK_SLACK_SECONDS = 3600
"""The largest time by which an event's position may precede its reception."""


class Replaying:
    """Replays events.

    Args:
        pool: Connections to PostgreSQL.
        events: The reader that resolves cursors.
        running: The bound on the replays that run at the same time, of all keys and of each.
        day_bytes: The largest size of the events that one key appends in a day, in bytes.
    """

    def __init__(self, pool: db.Pool, events: EventReader, running: Shares, day_bytes: int) -> None:
        self._pool = pool
        self._events = events
        self._running = running
        self._day_bytes = day_bytes

    async def replay(self, request: pb2.ReplayEventsRequest, caller: Caller) -> pb2.ReplayEventsResponse:
        """Replay the range of the request, or continue the replay that the same request has begun.

        A call that ends early (a deadline, a crash) leaves an incomplete replay: the same `request_id` continues it.

        Raises:
            CursorInvalid: mailmesh did not issue a cursor.
            CursorExpired: The range begins before the events that are kept.
            CursorEpochChanged: The store was restored since a cursor was issued.
            RequestIdReused: The id was already used with another request.
            FieldInvalid: The range has more than 100,000 events.
            ReplayQuotaReached: The key has replayed too many bytes in the last day.
            Overloaded: As many replays run as may, of this key or of all.
        """
        with self._running.take(caller.key_id):
            return await self._replay(request, caller)

    async def _replay(self, request: pb2.ReplayEventsRequest, caller: Caller) -> pb2.ReplayEventsResponse:
        request_id = check_id("request_id", request.request_id) if request.request_id else None
        wanted = await self._range(request, caller)
        digest = _digest(request)
        known = await self._known(caller, request_id, digest)
        if known is None:
            matched, size = await self._measure(wanted)
            if request.dry_run:
                return pb2.ReplayEventsResponse(matched=matched)
            known = await self._begin(caller, request_id, digest, wanted, matched, size)
        return await self._finish(caller, known, _resumed(wanted, known))

    async def _range(self, request: pb2.ReplayEventsRequest, caller: Caller) -> Range:
        start = await self._events.start(request.from_cursor, EARLIEST, "from_cursor")
        end = await self._events.start(request.to_cursor, LATEST, "to_cursor")
        received_from = _time(request, "received_from", request.received_from)
        # The slack is taken off the number: no time lies before the first one of the calendar.
        since = 0 if received_from is None else int((received_from.timestamp() - _CLOCK_SLACK_SECONDS) * 1_000_000)
        return Range(
            after=max(start.position, since),
            until=end.position,
            received_from=received_from,
            received_before=_time(request, "received_before", request.received_before),
            selection=select(request.filter, caller),
        )

    async def _known(self, caller: Caller, request_id: str | None, digest: bytes) -> Replay | None:
        if request_id is None:
            return None
        async with db.connection(self._pool) as connection:
            known = await replays.find_request(connection, caller.key_id, request_id)
        if known is not None and known.request_digest != digest:
            raise RequestIdReused(
                violations={"request_id": "was already used with another request"}, metadata={"request_id": request_id}
            )
        return known

    async def _measure(self, wanted: Range) -> tuple[int, int]:
        async with db.connection(self._pool) as connection:
            matched, size = await replays.measure(connection, wanted, MAX_EVENTS + 1)
        if matched > MAX_EVENTS:
            raise FieldInvalid.of("to_cursor", f"more than {MAX_EVENTS} events are selected")
        return matched, size

    async def _begin(
        self, caller: Caller, request_id: str | None, digest: bytes, wanted: Range, matched: int, size: int
    ) -> Replay:
        key_id, counted = caller.key_id, size + _REPLAY_BYTES
        async with settled(self._pool, 0) as (_, state):
            pass
        start = (state.head, state.head_event_id) if state.head > state.floor else (state.floor, state.floor_event_id)
        async with db.transaction(self._pool) as connection:
            used = await replays.lock_used(connection, key_id, datetime.now(UTC) - _DAY)
            # The same request may have begun while this call waited for the lock, and its bytes are counted then.
            is_begun = request_id is not None and await replays.find_request(connection, key_id, request_id) is not None
            if not is_begun and used + counted > self._day_bytes:
                raise ReplayQuotaReached(metadata={"bytes": str(size), "used": str(used)})
            begun = await replays.begin(connection, key_id, request_id, digest, wanted, start, matched, counted)
        known = begun or await self._known(caller, request_id, digest)
        assert known is not None  # noqa: S101 - the insert conflicted with this row
        return known

    async def _finish(self, caller: Caller, replay: Replay, wanted: Range) -> pb2.ReplayEventsResponse:
        while replay.done_position < replay.end_position:
            budget(_CALL_SECONDS)  # do not begin when the caller has gone
            async with db.connection(self._pool) as connection, connection.transaction():
                before = replay.appended
                replay = await replays.copy_some(connection, replay, wanted, _BATCH_EVENTS, _BATCH_BYTES)
            REPLAYED.inc(replay.appended - before)
        start = await self._start_cursor(replay, caller)
        return pb2.ReplayEventsResponse(
            replay_id=str(replay.replay_id), matched=replay.matched, appended=replay.appended, start_cursor=start
        )

    async def _start_cursor(self, replay: Replay, caller: Caller) -> str:
        epoch = (await self._events.start(EARLIEST, EARLIEST)).epoch
        start = Cursor(epoch, replay.start_position, tag_of(replay.start_event_id))
        return self._events.written(start, caller.tenants)


def _resumed(wanted: Range, replay: Replay) -> Range:
    """Return the range as it was when the replay began: "the newest event" keeps the meaning that it had then."""
    return Range(wanted.after, replay.end_position, wanted.received_from, wanted.received_before, wanted.selection)


def _digest(request: pb2.ReplayEventsRequest) -> bytes:
    content = pb2.ReplayEventsRequest()
    content.CopyFrom(request)
    content.ClearField("request_id")
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


def _time(request: pb2.ReplayEventsRequest, name: str, value: Timestamp) -> datetime | None:
    if not request.HasField(name):  # type: ignore[arg-type] # the names are those of the message
        return None
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError) as exc:
        raise FieldInvalid.of(name, "is not a time") from exc
