"""The edge's route to the door of agents: the headers that reach the door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.agents.certificates import server_context
from services.meshkit.identity.certificates import TlsFiles
from stack.certificates import MeshCertificates
from stack.ports import free_port
from tests.gateway.conftest import ADMIN_KEY, StartEdge

COOKIE = "__Host-mailmesh-session=secret"


@asynccontextmanager
async def door(certificates: MeshCertificates, seen: list[dict[str, str]]) -> AsyncIterator[int]:
    """A server with the door's certificate that records the headers of requests."""

    async def call(request: Request) -> Response:
        seen.append(dict(request.headers))
        return PlainTextResponse("seen")

    async def health(_request: Request) -> Response:
        return PlainTextResponse("serving")

    identity, port = certificates.identity("agents"), free_port()
    files = TlsFiles(identity.certificate, identity.key, identity.authority)
    server = uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=[Route("/mcp", call, methods=["POST"]), Route("/health", health)]),
            port=port,
            log_config=None,
            ssl_context_factory=lambda _configuration, _default: server_context(files),
        )
    )
    serving = asyncio.create_task(server.serve())
    try:
        yield port
    finally:
        server.should_exit = True
        await serving


async def test_the_secret_of_a_session_ends_at_the_edge(start_edge: StartEdge, certificates: MeshCertificates) -> None:
    seen: list[dict[str, str]] = []
    async with door(certificates, seen) as port:
        edge = await start_edge(agents=(f"127.0.0.1:{port}",))
        headers = {"authorization": f"Bearer {ADMIN_KEY}", "cookie": COOKIE}
        async with asyncio.timeout(60):
            while (answer := await edge.client.post("/mcp", json={}, headers=headers)).status_code == 503:
                await asyncio.sleep(0.1)
        await edge.client.aclose()

    assert (answer.status_code, answer.text) == (200, "seen")
    assert seen[-1]["authorization"] == f"Bearer {ADMIN_KEY}"
    assert seen[-1]["x-mailmesh-key-id"] == ADMIN_KEY
    assert "cookie" not in seen[-1]
