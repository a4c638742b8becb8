"""Follows the event stream through outages, for asyncio and for threads."""

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import aclosing
from typing import Any, Self

import grpc

from mailmesh.processor.v1 import event_pb2, event_service_pb2_grpc
from mailmesh_client.cursors import CursorStore
from mailmesh_client.errors import MailmeshError, error_of
from mailmesh_client.rules import FollowOptions, cursor_after, step_of

Step = tuple[str, event_pb2.Event | None]


async def follow(
    channel: grpc.aio.Channel, store: CursorStore, options: FollowOptions | None = None
) -> AsyncIterator[event_pb2.Event]:
    """Yield the events behind the saved cursor, for ever.

    The cursor of an event is saved when the next event is asked for: an event whose processing fails is delivered
    again, with the same id.

    Args:
        channel: From `connect`.
        store: Keeps the cursor of this follower alone.
        options: How to follow.

    Raises:
        MailmeshError: A failure that another attempt does not fix, such as a refused key or a lost cursor.
    """
    wanted = options or FollowOptions()
    cursor = await _settled(store.load()) or wanted.start
    failures = 0
    while True:
        error: MailmeshError | None = None
        try:
            async with aclosing(_steps(channel, cursor, wanted)) as steps:
                async for position, event in steps:
                    failures = 0
                    if event is not None:
                        yield event
                    if position:
                        cursor = position
                        await _settled(store.save(position))
        except grpc.RpcError as failed:
            error = error_of(failed)
            cursor = cursor_after(error, cursor, wanted)
        failures += 1
        await asyncio.sleep(wanted.backoff.pause(failures, error))


async def _steps(channel: grpc.aio.Channel, cursor: str, options: FollowOptions) -> AsyncGenerator[Step, None]:
    """Open the stream once and yield its steps until it ends or falls silent."""
    call: Any = event_service_pb2_grpc.EventServiceStub(channel).StreamEvents(options.request(cursor))
    try:
        while True:
            try:
                async with asyncio.timeout(options.silence_seconds):
                    response = await call.read()
            except TimeoutError:
                return
            if response is grpc.aio.EOF:
                return
            yield step_of(response)
    finally:
        call.cancel()


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def follow_sync(
    channel: grpc.Channel, store: CursorStore, options: FollowOptions | None = None
) -> Iterator[event_pb2.Event]:
    """Yield the events behind the saved cursor, for ever, blocking the thread; as `follow` does.

    Raises:
        MailmeshError: A failure that another attempt does not fix.
        TypeError: The store is one for asyncio.
    """
    wanted = options or FollowOptions()
    cursor = _plain(store.load()) or wanted.start
    failures = 0
    while True:
        error: MailmeshError | None = None
        try:
            for position, event in _steps_sync(channel, cursor, wanted):
                failures = 0
                if event is not None:
                    yield event
                if position:
                    cursor = position
                    _plain(store.save(position))
        except grpc.RpcError as failed:
            error = error_of(failed)
            cursor = cursor_after(error, cursor, wanted)
        failures += 1
        time.sleep(wanted.backoff.pause(failures, error))


def _steps_sync(channel: grpc.Channel, cursor: str, options: FollowOptions) -> Iterator[Step]:
    call: Any = event_service_pb2_grpc.EventServiceStub(channel).StreamEvents(options.request(cursor))
    with _Watch(call, options.silence_seconds) as watch:
        while (response := watch.read()) is not None:
            yield step_of(response)


class _Watch:
    """Cancels a call that is silent too long while its reader waits. The time of processing does not count."""

    def __init__(self, call: Any, silence_seconds: float) -> None:
        self._call, self._silence = call, silence_seconds
        self._waiting_since: float | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mailmesh-follow", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._call.cancel()
        self._thread.join()

    def read(self) -> Any:
        """Return the next message, or None at the end of the stream."""
        self._waiting_since = time.monotonic()
        try:
            return next(self._call, None)
        finally:
            self._waiting_since = None

    def _run(self) -> None:
        while not self._is_over.wait(self._silence / 8):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > self._silence:
                self._call.cancel()
                return


def _plain(value: str | Awaitable[Any] | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError("the store is for asyncio: follow with `follow`")
