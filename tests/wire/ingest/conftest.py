"""Ingest on a real server of the mesh with a real PostgreSQL, a TokenVault that says what a test wants, and clients."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import grpc
import pytest
from grpc_health.v1.health_pb2_grpc import HealthStub

from mailmesh.ingest.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceStub
from mailmesh.ingest.v1.ingest_service_pb2_grpc import IngestServiceStub
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1.tenant_pb2 import Tenant
from mailmesh.vault.v1.token_vault_service_pb2_grpc import (
    TokenVaultServiceServicer,
    add_TokenVaultServiceServicer_to_server,
)
from services.ingest.server import serving
from services.ingest.settings import IngestSettings
from services.meshkit.channel import mesh_channel
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.server import MeshServer
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from tests.programs.postgres import TestDatabase

SERVICE_ACCOUNT = "push@project.iam.gserviceaccount.com"


class Vault(TokenVaultServiceServicer):
    """TokenVault's log of tenants' changes, written by the test."""

    def __init__(self) -> None:
        self.changes: list[vault_pb2.TenantChange] = []
        self.faults: list[vault_pb2.ReportTenantFaultRequest] = []
        self._changed = asyncio.Event()

    def tell(self, tenant: Tenant, *, is_reconnected: bool = False) -> None:
        """Commits a change."""
        self.changes.append(vault_pb2.TenantChange(tenant=tenant, is_reconnected=is_reconnected))
        self._changed.set()

    async def ListTenantChanges(self, request: Any, context: Any) -> vault_pb2.ListTenantChangesResponse:
        position = int(request.cursor or 0)
        if position >= len(self.changes):
            self._changed.clear()
            try:
                async with asyncio.timeout(request.wait_seconds):
                    await self._changed.wait()
            except TimeoutError:
                return vault_pb2.ListTenantChangesResponse(next_cursor=str(position))
        return vault_pb2.ListTenantChangesResponse(changes=self.changes[position:], next_cursor=str(len(self.changes)))

    async def GetPendingErasures(self, request: Any, context: Any) -> vault_pb2.GetPendingErasuresResponse:
        return vault_pb2.GetPendingErasuresResponse()

    async def ReportTenantFault(self, request: Any, context: Any) -> vault_pb2.ReportTenantFaultResponse:
        self.faults.append(request)
        return vault_pb2.ReportTenantFaultResponse()


class Clients:
    """Stubs of Ingest's services, each as who may call it."""

    def __init__(self, envoy: grpc.aio.Channel, processor: grpc.aio.Channel) -> None:
        self.webhooks = IngestServiceStub(envoy)
        self.dead_letters = DeadLetterServiceStub(envoy)
        self.inbox = InboxServiceStub(processor)
        self.health = HealthStub(envoy)


@pytest.fixture
async def vault(certificates: MeshCertificates) -> AsyncIterator[tuple[Vault, str]]:
    """TokenVault, and where it listens."""
    vault = Vault()  # type: ignore[abstract]
    identity = certificates.identity("token-vault")
    tls = TlsFiles(identity.certificate, identity.key, identity.authority)
    server = MeshServer("token-vault", "127.0.0.1:0", tls)
    service = vault_pb2.DESCRIPTOR.services_by_name["TokenVaultService"]
    server.add(add_TokenVaultServiceServicer_to_server, vault, service)
    async with server.running():
        yield vault, f"127.0.0.1:{server.port}"


MakeSettings = Callable[..., IngestSettings]


@pytest.fixture
def make_settings(
    certificates: MeshCertificates, ingest_database: TestDatabase, vault: tuple[Vault, str]
) -> MakeSettings:
    """Makes settings of an Ingest; everything can be set otherwise."""

    def make(**overrides: Any) -> IngestSettings:
        identity = certificates.identity("ingest")
        values = {
            "database_url": ingest_database.url,
            "listen": "127.0.0.1:0",
            "tls_cert": identity.certificate,
            "tls_key": identity.key,
            "tls_ca": identity.authority,
            "token_vault_address": vault[1],
            "google_pubsub_service_account": SERVICE_ACCOUNT,
            "match_cache_seconds": 60,
        }
        return load(IngestSettings, **(values | overrides))

    return make


@pytest.fixture
async def clients_of(certificates: MeshCertificates) -> AsyncIterator[Callable[[MeshServer], Any]]:
    """Makes clients of a server."""
    async with AsyncExitStack() as stack:

        async def make(server: MeshServer) -> Clients:
            channels = []
            for name in ("envoy", "processor"):
                identity = certificates.identity(name)
                tls = TlsFiles(identity.certificate, identity.key, identity.authority)
                address = f"127.0.0.1:{server.port}"
                channels.append(await stack.enter_async_context(mesh_channel(address, "ingest", tls)))
            return Clients(*channels)

        yield make


@pytest.fixture
async def clients(make_settings: MakeSettings, clients_of: Callable[[MeshServer], Any]) -> AsyncIterator[Clients]:
    """Clients of an Ingest that runs."""
    async with serving(make_settings()) as server:
        yield await clients_of(server)


@pytest.fixture
async def database(ingest_database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A connection to Ingest's database, as its own role."""
    connection = await asyncpg.connect(ingest_database.url)
    yield connection
    await connection.close()


@asynccontextmanager
async def eventually(seconds: float = 10.0) -> AsyncIterator[None]:
    """Bounds a wait for a condition."""
    async with asyncio.timeout(seconds):
        yield
