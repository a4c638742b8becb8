"""Processor on a real server with a real database; Ingest and TokenVault are small servers of the contract."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from mailmesh.ingest.v1 import inbox_service_pb2 as ingest_pb2
from mailmesh.ingest.v1 import inbox_service_pb2_grpc as ingest_grpc
from mailmesh.processor.v1.event_service_pb2_grpc import EventServiceStub
from mailmesh.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1 import token_vault_service_pb2_grpc as vault_grpc
from services.meshkit import db
from services.meshkit.channel import mesh_channel
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.queue import WakeQueue
from services.meshkit.server import MeshServer, ServerLimits
from services.meshkit.settings import load
from services.processor.errors import TenantNotFound
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.server import serving
from services.processor.settings import ProcessorSettings
from services.processor.stream.errors import KeyRevoked
from services.processor.stream.publish import EventDraft, publish
from stack.certificates import MeshCertificates
from tests.programs.postgres import TestDatabase


class Vault(vault_grpc.TokenVaultServiceServicer):
    """Knows which keys were revoked."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.asked: list[str] = []
        self.on_ask: Callable[[], None] = lambda: None

    async def CheckApiKey(self, request: Any, context: Any) -> vault_pb2.CheckApiKeyResponse:
        self.asked.append(request.api_key_id)
        self.on_ask()
        if request.api_key_id in self.revoked:
            raise KeyRevoked
        return vault_pb2.CheckApiKeyResponse()

    async def GetPendingErasures(self, request: Any, context: Any) -> vault_pb2.GetPendingErasuresResponse:
        return vault_pb2.GetPendingErasuresResponse()

    async def GetVaultStatus(self, request: Any, context: Any) -> vault_pb2.GetVaultStatusResponse:
        return vault_pb2.GetVaultStatusResponse(tenants_by_status={"active": 2}, refresh_failures_last_hour=1)


class Inbox(ingest_grpc.InboxServiceServicer):
    """Accepts reconciliations and reports a status."""

    def __init__(self) -> None:
        self.reconciles: list[Any] = []
        self.status = ingest_pb2.GetInboxStatusResponse()
        self.status_requests: list[Any] = []

    async def EnqueueReconcile(self, request: Any, context: Any) -> ingest_pb2.EnqueueReconcileResponse:
        if request.tenant_id.endswith("404"):
            raise TenantNotFound(resource=request.tenant_id)
        self.reconciles.append(request)
        return ingest_pb2.EnqueueReconcileResponse(item_id="i1", was_waiting=len(self.reconciles) > 1)

    async def GetInboxStatus(self, request: Any, context: Any) -> ingest_pb2.GetInboxStatusResponse:
        self.status_requests.append(request)
        return self.status


@dataclass
class Processor:
    """The service under test, as the edge reaches it."""

    server: MeshServer
    channel: Any
    pool: db.Pool
    vault: Vault
    inbox: Inbox
    stop: Callable[[], Any]

    @property
    def events(self) -> Any:
        return EventServiceStub(self.channel)

    @property
    def operations(self) -> Any:
        return ProcessorServiceStub(self.channel)

    def key(self, tenants: str = "*", role: str = "operator", key_id: str = "key-1") -> tuple[tuple[str, str], ...]:
        """Return the headers by which the edge names the caller."""
        return (("x-mailmesh-key-id", key_id), ("x-mailmesh-role", role), ("x-mailmesh-tenants", tenants))

    async def publish(self, *drafts: EventDraft) -> list[str]:
        async with db.connection(self.pool) as connection, connection.transaction():
            return [event.event_id for event in await publish(connection, drafts)]


Start = Callable[..., Any]


@pytest.fixture
def tls(certificates: MeshCertificates) -> Callable[[str], TlsFiles]:
    def files(name: str) -> TlsFiles:
        identity = certificates.identity(name)
        return TlsFiles(identity.certificate, identity.key, identity.authority)

    return files


def _peer(name: str, tls: TlsFiles, add: Any, servicer: Any, service: Any) -> MeshServer:
    server = MeshServer(name, "127.0.0.1:0", tls, ServerLimits(grace_seconds=0.1))
    server.add(add, servicer, service)
    return server


@pytest.fixture
async def start_processor(
    processor_database: TestDatabase, tls: Callable[[str], TlsFiles], tmp_path: Path
) -> AsyncIterator[Start]:
    """Start Processor: `processor = await start_processor(streams=1)`; settings by name."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Processor:
            return await stack.enter_async_context(_running(processor_database, tls, settings))

        yield start


@asynccontextmanager
async def _running(
    database: TestDatabase, tls: Callable[[str], TlsFiles], given: dict[str, Any]
) -> AsyncIterator[Processor]:
    own, vault, inbox = tls("processor"), Vault(), Inbox()
    vault_service = vault_pb2.DESCRIPTOR.services_by_name["TokenVaultService"]
    inbox_service = ingest_pb2.DESCRIPTOR.services_by_name["InboxService"]
    vault_server = _peer(
        "token-vault", tls("token-vault"), vault_grpc.add_TokenVaultServiceServicer_to_server, vault, vault_service
    )
    inbox_server = _peer("ingest", tls("ingest"), ingest_grpc.add_InboxServiceServicer_to_server, inbox, inbox_service)
    settings = load(
        ProcessorSettings,
        database_url=database.url,
        listen="127.0.0.1:0",
        tls_cert=own.certificate,
        tls_key=own.key,
        tls_ca=own.authority,
        **given,
    )
    async with (
        vault_server.running(),
        inbox_server.running(),
        open_pool(settings.database_url, "processor", DatabaseLimits(connections=8)) as pool,
        mesh_channel(f"127.0.0.1:{vault_server.port}", "token-vault", own) as vault_channel,
        mesh_channel(f"127.0.0.1:{inbox_server.port}", "ingest", own) as inbox_channel,
    ):
        server = MeshServer("processor", settings.listen, own, ServerLimits(grace_seconds=10.0))
        async with (
            WakeQueue.open(None, "processor") as wakes,
            ProviderHttp.of(settings) as http,
            serving(server, settings, pool, inbox_channel, vault_channel, wakes, http),
            AsyncExitStack() as running,
        ):
            await running.enter_async_context(server.running())
            async with edge_channel(server.port, tls("envoy")) as channel:
                yield Processor(server, channel, pool, vault, inbox, running.aclose)


@asynccontextmanager
async def edge_channel(port: int, tls: TlsFiles, peer: str = "processor") -> AsyncIterator[Any]:
    """A plain channel with the edge's certificate: failures arrive in the form in which gRPC raises them.

    gRPC reads ahead of its caller, by megabytes for each stream. The edge does not, and neither does this channel.
    """
    credentials = grpc.ssl_channel_credentials(
        tls.authority.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes()
    )
    options = [
        ("grpc.ssl_target_name_override", f"{peer}.mailmesh.internal"),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 65_536),
    ]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        yield channel


@pytest.fixture
async def processor(start_processor: Start) -> Processor:
    started: Processor = await start_processor()
    return started


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition of this process."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
