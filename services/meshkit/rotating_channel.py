"""A channel that shows the certificate that lies in its files now.

gRPC reads a client's certificate once, when the channel is made. A process that runs for longer than its certificate is
good would find every door closed at its next connection, so a channel whose files have changed is followed by another.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Self

import grpc
from typing_extensions import override

from services.meshkit.identity.certificates import FileChanges
from services.meshkit.loops import cancel

_LOOK_SECONDS = 5.0

_Make = Callable[[grpc.aio.Channel], Callable[..., Any]]


class RotatingChannel(grpc.aio.Channel):
    """Makes each call by the newest channel; calls that are under way end on the one that they began on.

    Args:
        make: Makes a channel of what the files hold. Raises `OSError` when they cannot be read.
        changes: Of the files.
        longest_call_seconds: After that long no call is left on a channel that was followed by another.
        look_seconds: The shortest interval between two checks of the files. Only calls cause a check.
    """

    def __init__(
        self,
        make: Callable[[], grpc.aio.Channel],
        changes: FileChanges,
        longest_call_seconds: float,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._make = make
        self._changes = changes
        self._longest_call_seconds = longest_call_seconds
        self._look_seconds = look_seconds
        self._look_at = time.monotonic() + look_seconds
        self._newest = make()
        self._followed: set[asyncio.Task[None]] = set()

    def newest(self) -> grpc.aio.Channel:
        """The channel for calls that begin now."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + self._look_seconds
            self._look()
        return self._newest

    def _look(self) -> None:
        made = self._changes.read_if_new(self._make)
        if made is None:
            return
        followed, self._newest = self._newest, made
        task = asyncio.create_task(self._close_later(followed))
        self._followed.add(task)
        task.add_done_callback(self._followed.discard)

    async def _close_later(self, channel: grpc.aio.Channel) -> None:
        try:
            await asyncio.sleep(self._longest_call_seconds)
        finally:
            await channel.close()

    @override
    async def __aenter__(self) -> Self:
        return self

    @override
    async def __aexit__(self, *args: object) -> None:
        await self.close()

    @override
    async def close(self, grace: float | None = None) -> None:
        await cancel(self._followed)
        await self._newest.close(grace)

    @override
    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._newest.get_state(try_to_connect)

    @override
    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._newest.wait_for_state_change(last_observed_state)

    @override
    async def channel_ready(self) -> None:
        await self._newest.channel_ready()

    @override
    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Calls(self, lambda channel: channel.unary_unary(*args, **kwargs))

    @override
    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Calls(self, lambda channel: channel.unary_stream(*args, **kwargs))

    @override
    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Calls(self, lambda channel: channel.stream_unary(*args, **kwargs))

    @override
    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Calls(self, lambda channel: channel.stream_stream(*args, **kwargs))


class _Calls:
    """One method of a stub, on whatever channel is the newest."""

    def __init__(self, owner: RotatingChannel, make: _Make) -> None:
        self._owner = owner
        self._make = make
        self._channel: grpc.aio.Channel | None = None
        self._made: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        newest = self._owner.newest()
        if newest is not self._channel:
            self._channel, self._made = newest, self._make(newest)
        return self._made(*args, **kwargs)
