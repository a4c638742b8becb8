"""An echo service on a real server of the mesh, with real certificates, and channels to it."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
import structlog

from services.meshkit.channel import mesh_channel
from services.meshkit.identity.caller import current_caller
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.logs import configure_logs
from services.meshkit.server import MeshServer, ServerLimits
from stack.certificates import MeshCertificates
from tests.programs.echo import echo_modules, echo_service

pb, pb_grpc = echo_modules()

SERVER = "token-vault"
Behaviour = Callable[[Any], Any]


class Echo:
    """Answers what the request says, or does what the test has put under that text."""

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.callers: list[Any] = []
        self.seen: list[str] = []
        self.entered = asyncio.Event()
        self.ended = asyncio.Event()

    async def answer(self, request: Any) -> Any:
        self.callers.append(current_caller())
        self.seen.append(request.text)
        self.entered.set()
        try:
            behaviour = self.behaviours.get(request.text)
            text = request.text if behaviour is None else await behaviour(request)
        finally:
            self.ended.set()
        return pb.EchoResponse(text=text)


class EchoServicer:
    """All methods of all echo services."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    async def One(self, request: Any, context: Any) -> Any:
        return await self._echo.answer(request)

    async def Many(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for _ in range(request.count):
            yield pb.EchoResponse(text=request.text)
        yield await self._echo.answer(request)

    async def Collect(self, request_iterator: Any, context: Any) -> Any:
        answers = [await self._echo.answer(request) async for request in request_iterator]
        return pb.EchoResponse(text="+".join(answer.text for answer in answers))

    async def Chat(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for request in request_iterator:
            yield await self._echo.answer(request)

    Read = Manage = Send = Knock = One


ARITIES = ("One", "Many", "Collect", "Chat")


async def call_as(method: Any, name: str, *requests: Any, **options: Any) -> list[Any]:
    """Calls a method of whatever arity and gives all its answers."""
    call = method(requests[0] if name in ("One", "Many") else iter(requests), **options)
    if name in ("One", "Collect"):
        return [await call]
    return [answer async for answer in call]


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def tls(certificates: MeshCertificates) -> Callable[[str], TlsFiles]:
    def files(name: str) -> TlsFiles:
        identity = certificates.identity(name)
        return TlsFiles(identity.certificate, identity.key, identity.authority)

    return files


def make_server(echo: Echo, tls: TlsFiles, listen: str = "127.0.0.1:0", **options: Any) -> MeshServer:
    """An echo server that has not started."""
    server = MeshServer(SERVER, listen, tls, **options)
    for name in ("MeshEcho", "KeyEcho", "OpenEcho"):
        server.add(getattr(pb_grpc, f"add_{name}Servicer_to_server"), EchoServicer(echo), echo_service(name))
    return server


Serve = Callable[..., AbstractAsyncContextManager[MeshServer]]


@pytest.fixture
def serve(echo: Echo, tls: Callable[[str], TlsFiles]) -> Serve:
    """Serves the echo while a block runs: `async with serve(limits=...) as server`."""

    @asynccontextmanager
    async def serving(**options: Any) -> AsyncIterator[MeshServer]:
        options.setdefault("limits", ServerLimits(grace_seconds=1.0))
        server = make_server(echo, tls(SERVER), **options)
        async with server.running():
            yield server

    return serving


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[MeshServer]:
    """An echo server that runs."""
    async with serve() as running:
        yield running


Connect = Callable[..., Any]


@pytest.fixture
async def connect(tls: Callable[[str], TlsFiles]) -> AsyncIterator[Connect]:
    """Gives channels of the mesh: `await connect(server, "ingest")`."""
    async with AsyncExitStack() as opened:

        async def channel(server: MeshServer, name: str, **options: Any) -> grpc.aio.Channel:
            address = f"127.0.0.1:{server.port}"
            return await opened.enter_async_context(mesh_channel(address, SERVER, tls(name), **options))

        yield channel


@pytest.fixture
async def dial(certificates: MeshCertificates) -> AsyncIterator[Callable[..., grpc.aio.Channel]]:
    """Gives plain channels with a certificate and nothing of ours in between, as a foreign client would have them."""
    async with AsyncExitStack() as opened:

        async def channel(server: MeshServer, name: str) -> grpc.aio.Channel:
            identity = certificates.identity(name)
            credentials = grpc.ssl_channel_credentials(
                identity.authority.read_bytes(), identity.key.read_bytes(), identity.certificate.read_bytes()
            )
            options = [("grpc.ssl_target_name_override", f"{SERVER}.mailmesh.internal")]
            made = grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials, options)
            return await opened.enter_async_context(made)

        yield channel  # type: ignore[misc]


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines that are logged from here on, as they are written."""
    stream = io.StringIO()
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    configure_logs(SERVER, "debug", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = kept
    structlog.reset_defaults()
