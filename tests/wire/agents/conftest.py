"""The door of agents over mutual TLS, in front of a real gRPC server that stands for the edge and can hold calls."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import pytest

from mailmesh.vault.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from services.agents.server import serve_with
from services.agents.settings import AgentsSettings
from services.meshkit.identity.certificates import TlsFiles, host_name
from services.meshkit.settings import load
from stack.ports import free_port

HOST = host_name("agents")
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "explain_account", "arguments": {"tenant_id": "t"}},
}


class Tenants(tenant_service_pb2_grpc.TenantServiceServicer):
    """Holds calls until the test releases them."""

    def __init__(self) -> None:
        self.held, self.released = 0, asyncio.Event()

    async def GetTenant(self, request, context):
        self.held += 1
        await self.released.wait()
        return tenant_service_pb2.GetTenantResponse()


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """The context of a client that shows these files."""
    context = ssl.create_default_context(cafile=files.authority)
    context.load_cert_chain(files.certificate, files.key)
    return context


@dataclass
class RunningDoor:
    """A running door."""

    port: int
    tenants: Tenants
    context: ssl.SSLContext
    client: httpx.AsyncClient = field(repr=False)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def health(self, client: httpx.AsyncClient | None = None) -> httpx.Response:
        """Ask as the edge's health check does."""
        return await (client or self.client).get(f"{self.url}/health", extensions={"sni_hostname": HOST})

    async def call(self, key: str) -> dict[str, Any]:
        """Call a tool as the edge passes calls on, and return its result."""
        headers = {
            "accept": "application/json, text/event-stream",
            "x-mailmesh-key-id": key,
            "x-mailmesh-role": "reader",
            "authorization": f"Bearer {key}",
            "mcp-protocol-version": "2025-06-18",
        }
        answer = await self.client.post(
            f"{self.url}/mcp", json=CALL, headers=headers, extensions={"sni_hostname": HOST}
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["result"])


@asynccontextmanager
async def _edge(tenants: Tenants) -> AsyncIterator[int]:
    server = grpc.aio.server()
    tenant_service_pb2_grpc.add_TenantServiceServicer_to_server(tenants, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        tenants.released.set()
        await server.stop(None)


@asynccontextmanager
async def _serving(settings: AgentsSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_with(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await serving


async def _until_open(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


StartDoor = Callable[..., Awaitable[RunningDoor]]


@pytest.fixture
async def start_door(certificates) -> AsyncIterator[StartDoor]:
    """Start a door: `await start_door(calls=2)`."""
    own, envoy = (
        TlsFiles(identity.certificate, identity.key, identity.authority)
        for identity in (certificates.identity(name) for name in ("agents", "envoy"))
    )
    async with AsyncExitStack() as stack:

        async def start(files: TlsFiles = own, **settings: Any) -> RunningDoor:
            tenants, port = Tenants(), free_port()
            edge = await stack.enter_async_context(_edge(tenants))
            made = load(
                AgentsSettings,
                listen=f"127.0.0.1:{port}",
                edge=f"http://127.0.0.1:{edge}",
                tls_cert=files.certificate,
                tls_key=files.key,
                tls_ca=files.authority,
                **settings,
            )
            await stack.enter_async_context(_serving(made))
            await _until_open(port)
            context = client_context(envoy)
            client = await stack.enter_async_context(httpx.AsyncClient(verify=context, timeout=60))
            # Calls that a test left held must end before the door can stop.
            stack.callback(tenants.released.set)
            return RunningDoor(port, tenants, context, client)

        yield start
