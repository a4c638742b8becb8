"""Composition of the process: `python -m services.agents serve`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from typing_extensions import override

from services.agents.bodies import CheckedBodies
from services.agents.certificates import server_context
from services.agents.confirmation import Confirmations
from services.agents.door import Door
from services.agents.edge import Edge, open_edge
from services.agents.settings import AgentsSettings
from services.agents.tools import load_tools
from services.meshkit.clock import SystemClock
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.logs import configure_logs
from services.meshkit.probes import serve_probes
from services.meshkit.settings import load
from services.meshkit.shares import Shares

logger = structlog.get_logger(__name__)

NAME = "agents"
PATH = "/mcp"
HEALTH_PATH = "/health"
# Idle connections count, and the health check needs one. An edge opens at most 64, so that this serves seven edges.
# The door bounds the calls of tools by itself.
MOST_CONNECTIONS = 512
_GRACE_SECONDS = 10
_MOST_BODY_BYTES = 1024 * 1024


async def serve(stop: asyncio.Event) -> None:
    """Serve the tools until `stop` is set."""
    settings = load(AgentsSettings)
    configure_logs(NAME, settings.log_level)
    await serve_with(settings, stop)


async def serve_with(settings: AgentsSettings, stop: asyncio.Event) -> None:
    """Serve the tools with these settings until `stop` is set."""
    tls = TlsFiles.of(settings)
    async with open_edge(settings.edge, settings.edge_ca, settings.call_seconds) as edge:
        server = _Server(_configuration(settings, tls, application(settings, edge)))
        serving = asyncio.ensure_future(server.serve())
        logger.info("process started", metrics_port=0)
        stopping = asyncio.ensure_future(stop.wait())
        async with serve_probes(settings.health_listen, lambda: server.started and not server.should_exit):
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        stopping.cancel()
        await serving


class _Server(uvicorn.Server):
    """Leaves signals to the process, whose own event says when to stop."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def application(settings: AgentsSettings, edge: Edge) -> ASGIApp:
    """Return the door as an ASGI application: stateless, both eras of the protocol at one path."""
    confirmations = Confirmations(settings.confirmation_key, settings.confirmation_seconds, SystemClock())
    shares = Shares("calls_of_agents", settings.calls, settings.calls_per_key)
    served = (
        Door(load_tools(), edge, confirmations, shares)
        .server()
        .streamable_http_app(
            streamable_http_path=PATH,
            stateless_http=True,
            json_response=True,
            max_request_body_size=_MOST_BODY_BYTES,
            # The edge has checked Origin, and it is the only peer that a certificate lets in.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            custom_starlette_routes=[Route(HEALTH_PATH, _health)],
        )
    )
    return CheckedBodies(served, PATH, _MOST_BODY_BYTES)


async def _health(_request: Request) -> Response:
    return PlainTextResponse("serving")


def _configuration(settings: AgentsSettings, tls: TlsFiles, served: ASGIApp) -> uvicorn.Config:
    host, _, port = settings.listen.rpartition(":")
    return uvicorn.Config(
        served,
        host=host.strip("[]"),
        port=int(port),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_context_factory=lambda _configuration, _default: server_context(tls),
    )
