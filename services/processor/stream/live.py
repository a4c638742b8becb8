"""Live streams: the events after a cursor, then new ones, as long as the key is valid and the reader keeps up."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

import grpc

from mailmesh.processor.v1 import event_pb2, event_service_pb2
from services.meshkit.errors import FieldInvalid, MeshError, ShuttingDown
from services.meshkit.shares import Shares
from services.processor.stream.cursor import Cursor
from services.processor.stream.errors import ReaderTooSlow
from services.processor.stream.filter import Selection
from services.processor.stream.key_checks import KeyChecks
from services.processor.stream.metrics import STREAM_ENDS, STREAMS
from services.processor.stream.pages import EventReader, EventView, Page
from services.processor.stream.tail import Tail

Step = event_service_pb2.StreamEventsResponse
_DEFAULT_HEARTBEAT_SECONDS = 15
_MAX_HEARTBEAT_SECONDS = 60
_LOOK_AROUND_SECONDS = 10.0
"""The longest interval between two checks of a stream's key, in seconds."""


@dataclass(frozen=True)
class StreamLimits:
    """Bounds of the streams of one process.

    Args:
        streams: The largest number of streams at once; beyond it a stream is refused with OVERLOADED.
        per_key: The largest number of streams of one API key, so that one reader cannot take all of them.
        page_events: The number of events read ahead for one stream.
        write_seconds: The longest time that a reader may take to accept one event.
        reads: The number of streams that read PostgreSQL at the same time. The others wait for their turn and then find
            more events at once, instead of taking the connections from all other requests.
    """

    streams: int = 1000
    per_key: int = 600
    page_events: int = 64
    write_seconds: float = 30.0
    reads: int = 8


def heartbeat_seconds(asked: int) -> int:
    """Return the value of the request's field `heartbeat_seconds`.

    Raises:
        FieldInvalid: The value is not from 0 to 60.
    """
    if not 0 <= asked <= _MAX_HEARTBEAT_SECONDS:
        raise FieldInvalid.of("heartbeat_seconds", f"must be 1 to {_MAX_HEARTBEAT_SECONDS}, or 0 for the default")
    return asked or _DEFAULT_HEARTBEAT_SECONDS


@dataclass(frozen=True)
class Reader:
    """One reader of a stream.

    Args:
        selection: The events that the reader gets.
        view: The parts of each event that the reader gets.
        heartbeat_seconds: The longest silence.
        key_id: The API key that opened the stream.
        session_id: The browser's session that stood for the key, empty without one.
        write: Sends a step and returns when there is room for more.
        written: Returns a cursor as the reader gets it.
    """

    selection: Selection
    view: EventView
    heartbeat_seconds: float
    key_id: str
    session_id: str
    write: Callable[[Step], Awaitable[None]]
    written: Callable[[Cursor], str]


class Following:
    """Serves the streams of this process.

    Args:
        events: The reader of pages.
        tail: The newest events in memory.
        keys: The checks of keys.
        stopping: Set when the process stops.
        limits: The bounds.
    """

    def __init__(
        self,
        events: EventReader,
        tail: Tail,
        keys: KeyChecks,
        stopping: asyncio.Event,
        limits: StreamLimits | None = None,
    ) -> None:
        self._events = events
        self._tail = tail
        self._keys = keys
        self._stopping = stopping
        self._limits = limits or StreamLimits()
        self._open = Shares("streams", self._limits.streams, self._limits.per_key)
        self._turns = asyncio.Semaphore(self._limits.reads)

    async def follow(self, start: Cursor, reader: Reader) -> None:
        """Send the events after a cursor until the stream has to end.

        Raises:
            MeshError: The reason of the end, with the position to resume from: ShuttingDown, KeyRevoked, ReaderTooSlow,
                CursorExpired, CursorEpochChanged, StoreUnavailable, ServiceUnavailable, Overloaded.
        """
        with self._admitted(reader.key_id):
            stream = _Stream(start, reader, self._limits.write_seconds)
            try:
                async with aclosing(self._pages(start, reader, stream)) as pages:
                    async for page in pages:
                        await stream.send(page)
            except MeshError as exc:
                exc.metadata.setdefault("position", stream.position)
                STREAM_ENDS.labels(exc.reason).inc()
                raise

    @contextmanager
    def _admitted(self, key_id: str) -> Iterator[None]:
        try:
            with self._open.take(key_id):
                STREAMS.set(self._open.taken)
                yield
        finally:
            STREAMS.set(self._open.taken)

    async def _pages(self, start: Cursor, reader: Reader, stream: "_Stream") -> AsyncGenerator[Page, None]:
        """Yield pages as they come. An empty page reports progress of the position, or that time has passed."""
        position, life = start, -1
        while True:
            if self._stopping.is_set():
                raise ShuttingDown
            await self._keys.check(reader.key_id, reader.session_id)
            # PostgreSQL checks that the reader's cursor is still valid; events in memory are only trusted for a
            # cursor that was good in the same life of it.
            is_known, life = life == self._tail.life, self._tail.life
            page = await self._page(position, reader, is_known=is_known)
            position = page.next
            yield page
            if not page.has_more:
                await self._tail.beyond(position.position, min(stream.quiet_seconds, _LOOK_AROUND_SECONDS))

    async def _page(self, position: Cursor, reader: Reader, *, is_known: bool) -> Page:
        count = self._limits.page_events
        page = self._tail.page(position, reader.selection, reader.view, count) if is_known else None
        if page is None:
            async with self._turns:
                page = await self._events.page(position, reader.selection, reader.view, count)
        return page


class _Stream:
    """The progress of one reader."""

    def __init__(self, start: Cursor, reader: Reader, write_seconds: float) -> None:
        self.position = reader.written(start)
        self._reader = reader
        self._write_seconds = write_seconds
        self._written_at = time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """The time to the next heartbeat, in seconds. Events that the reader does not get do not move it."""
        return max(0.0, self._written_at + self._reader.heartbeat_seconds / 2 - time.monotonic())

    async def send(self, page: Page) -> None:
        """Send a page's events, or a heartbeat when the silence has lasted long enough."""
        for event in page.events:
            await self._write(Step(event=event), event.position)
        if not self.quiet_seconds and not page.events:
            position = self._reader.written(page.next)
            heartbeat = event_service_pb2.Heartbeat(position=position)
            heartbeat.sent_at.GetCurrentTime()
            await self._write(Step(heartbeat=heartbeat), position)

    async def _write(self, step: Step, position: str) -> None:
        try:
            async with asyncio.timeout(self._write_seconds):
                await self._reader.write(step)
        except TimeoutError as exc:
            raise ReaderTooSlow from exc
        except grpc.aio.InternalError as exc:
            # The reader hung up while a step waited to be sent; gRPC calls that an internal error.
            raise asyncio.CancelledError from exc
        self.position = position
        self._written_at = time.monotonic()


def basic_by_default(view: EventView) -> EventView:
    """The view of lists and streams when the request names none."""
    return view or event_pb2.EVENT_VIEW_BASIC


def full_by_default(view: EventView) -> EventView:
    """The view of a single event when the request names none."""
    return view or event_pb2.EVENT_VIEW_FULL
