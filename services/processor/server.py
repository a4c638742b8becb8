"""Composition of the server process: `python -m services.processor serve`."""

import asyncio

from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.channel import mesh_channel
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background, observed
from services.meshkit.server import MeshServer
from services.meshkit.settings import load
from services.processor.follow import TenantFollower
from services.processor.migrate import migrations
from services.processor.serving import serving
from services.processor.settings import ProcessorSettings

NAME = "processor"
_INGEST_RETRY_SAFE = (
    "/mailmesh.ingest.v1.InboxService/EnqueueReconcile",
    "/mailmesh.ingest.v1.InboxService/GetInboxStatus",
)
_VAULT = "/mailmesh.vault.v1.TokenVaultService"
_VAULT_RETRY_SAFE = (f"{_VAULT}/ListTenantChanges", f"{_VAULT}/CheckApiKey", f"{_VAULT}/GetVaultStatus")
_FOLLOW_SECONDS = 1.0


async def serve(stop: asyncio.Event) -> None:
    """Serves events and follows tenants until told to stop."""
    settings = load(ProcessorSettings)
    async with observed(NAME, settings):
        await migrations(settings.database_url).check()
        await run(settings, stop)


async def run(settings: ProcessorSettings, stop: asyncio.Event) -> None:
    """Opens everything, serves until told to stop, closes everything in reverse."""
    tls = TlsFiles.of(settings)
    async with (
        open_pool(settings.database_url, NAME, DatabaseLimits(settings.connections)) as pool,
        mesh_channel(settings.ingest_address, "ingest", tls, retry_safe=_INGEST_RETRY_SAFE) as ingest,
        mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=_VAULT_RETRY_SAFE) as vault,
    ):
        server = MeshServer(NAME, settings.listen, tls)
        follower = TenantFollower(pool, TokenVaultServiceAsyncStub(vault))
        async with (
            serving(server, settings, pool, ingest, vault),
            background(PeriodicLoop("tenants", _FOLLOW_SECONDS, follower.round).run()),
        ):
            await server.serve(stop)
