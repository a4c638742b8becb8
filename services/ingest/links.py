"""The connections of Ingest to everything outside of its process."""

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import httpx

from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.ingest.settings import IngestSettings
from services.ingest.store.dedicated_connection import DedicatedConnection
from services.meshkit import db
from services.meshkit.channel import mesh_channel
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.queue import WakeQueue

NAME = "ingest"
PROCESSOR_QUEUE = "processor"
# The writer has one connection; its deadlines lie within the time that a webhook may take.
_WRITER_CONNECTIONS = 1
_PROVIDER_CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=16)
RETRY_SAFE = (
    "/mailmesh.vault.v1.TokenVaultService/ListTenantChanges",
    "/mailmesh.vault.v1.TokenVaultService/ReportTenantFault",
    "/mailmesh.vault.v1.TokenVaultService/GetPendingErasures",
    "/mailmesh.vault.v1.TokenVaultService/ConfirmErasure",
)


@dataclass(frozen=True)
class Links:
    """The opened connections.

    Attributes:
        pool: PostgreSQL.
        writer: The connection of the writer of the inbox.
        wakes: The queue that wakes Processor's workers.
        vault: TokenVault.
        provider_http: The way out to the providers.
        edge_http: The way to the edges' metrics.
    """

    pool: db.Pool
    writer: DedicatedConnection
    wakes: WakeQueue
    vault: TokenVaultServiceAsyncStub
    provider_http: httpx.AsyncClient
    edge_http: httpx.AsyncClient


@asynccontextmanager
async def open_links(settings: IngestSettings) -> AsyncIterator[Links]:
    """Open the connections; close them in reverse order behind the block.

    Args:
        settings: The settings of this process.

    Yields:
        The connections.
    """
    tls, limits = TlsFiles.of(settings), DatabaseLimits(connections=settings.database_connections)
    async with (
        open_pool(settings.database_url, NAME, limits) as pool,
        open_pool(settings.database_url, f"{NAME} writer", _writer_pool_limits(settings)) as writer_pool,
        aclosing(DedicatedConnection(writer_pool)) as writer,
        WakeQueue.open(settings.redis_url, PROCESSOR_QUEUE) as wakes,
        mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=RETRY_SAFE) as channel,
        httpx.AsyncClient(verify=trust(settings), limits=_PROVIDER_CONNECTIONS, follow_redirects=False) as provider,
        # The edge's admin interface is on loopback and needs no credential: never through a proxy.
        httpx.AsyncClient(trust_env=False) as edge,
    ):
        yield Links(pool, writer, wakes, TokenVaultServiceAsyncStub(channel), provider, edge)


def trust(settings: IngestSettings) -> ssl.SSLContext:
    """Return the certificate authorities that are trusted at the providers."""
    context = ssl.create_default_context()
    if settings.provider_ca is not None:
        context.load_verify_locations(cafile=settings.provider_ca)
    return context


def _writer_pool_limits(settings: IngestSettings) -> DatabaseLimits:
    seconds = settings.commit_seconds
    return DatabaseLimits(
        connections=_WRITER_CONNECTIONS,
        wait_seconds=seconds,
        statement_seconds=seconds,
        lock_seconds=seconds,
        idle_transaction_seconds=seconds + 3,
    )
