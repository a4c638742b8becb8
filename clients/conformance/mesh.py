"""A mesh that plays the script of each case, over HTTP/2 without TLS on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from clients.conformance.proxy import HOST, Proxy
from clients.conformance.script import Cut, Fail, Next, Opening, Send, Silence, event
from mailmesh.processor.v1 import event_service_pb2

_MOST_OPENINGS = 50


@dataclass
class Play:
    """One case that is being played.

    Attributes:
        openings: The script of each call of the case, in order; further calls get the last one.
        proxy: The proxy in front of the case's client.
        asked: The cursors that the client asked for, or the names of unary calls.
        times: When it asked, by the monotonic clock.
    """

    openings: tuple[Opening, ...]
    proxy: Proxy
    asked: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def next_opening(self, asked: str) -> Opening:
        """Note a call and return its script."""
        self.asked.append(asked)
        self.times.append(time.monotonic())
        if len(self.asked) > _MOST_OPENINGS:
            return (Fail(grpc.StatusCode.FAILED_PRECONDITION, "CALLED_TOO_OFTEN"),)
        return self.openings[min(len(self.asked), len(self.openings)) - 1]


class DifficultMesh:
    """Serves the cases. The API key of a call is the case's name."""

    def __init__(self) -> None:
        self.plays: dict[str, Play] = {}
        self.port = 0
        self._cuts: set[asyncio.Task[None]] = set()

    async def stream_events(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Play the next opening of a case for StreamEvents."""
        play = self._play(context)
        cursor = event_service_pb2.StreamEventsRequest.FromString(request).cursor
        for action in play.next_opening(cursor):
            match action:
                case Send():
                    yield action.data
                case Next():
                    yield event(1 + (int(cursor) if cursor.isdecimal() else 0)).data
                case Silence():
                    await asyncio.Event().wait()
                case _:
                    await self._end(play, action, context)

    async def get_tenant(self, _request: bytes, context: Any) -> bytes:
        """Play the next opening of a case for GetTenant."""
        play = self._play(context)
        for action in play.next_opening("GetTenant"):
            if isinstance(action, Send):
                return action.data
            if isinstance(action, (Fail, Cut)):
                await self._end(play, action, context)
        return b""

    async def _end(self, play: Play, action: Fail | Cut, context: Any) -> None:
        if isinstance(action, Cut):
            task = asyncio.ensure_future(play.proxy.cut(action.absence_seconds))
            self._cuts.add(task)
            task.add_done_callback(self._cuts.discard)
            # The reset ends this call from outside.
            await asyncio.Event().wait()
        elif isinstance(action, Fail):
            if action.reason:
                context.set_trailing_metadata((("grpc-status-details-bin", action.status()),))
            await context.abort(action.code, "it failed")

    def _play(self, context: Any) -> Play:
        metadata = dict(context.invocation_metadata())
        return self.plays[str(metadata["authorization"]).removeprefix("Bearer ")]


@asynccontextmanager
async def serving() -> AsyncIterator[DifficultMesh]:
    """Serve a mesh until the block ends."""
    mesh = DifficultMesh()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "mailmesh.processor.v1.EventService",
                {"StreamEvents": grpc.unary_stream_rpc_method_handler(mesh.stream_events)},
            ),
            grpc.method_handlers_generic_handler(
                "mailmesh.vault.v1.TenantService",
                {"GetTenant": grpc.unary_unary_rpc_method_handler(mesh.get_tenant)},
            ),
        )
    )
    mesh.port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    try:
        yield mesh
    finally:
        await server.stop(None)
