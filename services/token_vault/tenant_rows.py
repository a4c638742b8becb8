"""The rows of tenants that TokenVault exports: its own, and those of the other services, which it asks for them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from mailmesh.vault.v1.tenant_rows_service_pb2_grpc import TenantRowsServiceAsyncStub
from services.erasures.rows import read_rows
from services.meshkit import db
from services.meshkit.channel import mesh_channel
from services.meshkit.exporting import TenantRows
from services.meshkit.identity.certificates import TlsFiles
from services.token_vault.accounts.export import ReadRows
from services.token_vault.exporting import EXPORT
from services.token_vault.settings import NAME, VaultSettings

_RETRY_SAFE = ("/mailmesh.vault.v1.TenantRowsService/ReadTenantRows",)


@asynccontextmanager
async def open_readers(settings: VaultSettings, pool: db.Pool) -> AsyncIterator[Mapping[str, ReadRows]]:
    """Open channels to the services, which connect when an export needs them.

    Args:
        settings: TokenVault's settings.
        pool: Connections to the database.

    Yields:
        By service: the function that reads its rows.
    """
    addresses = {
        "ingest": settings.ingest_address,
        "processor": settings.processor_address,
        "delivery": settings.delivery_address,
        "workflows": settings.workflows_address,
    }
    tls = TlsFiles.of(settings)
    async with AsyncExitStack() as stack:
        readers: dict[str, ReadRows] = {NAME: partial(read_rows, TenantRows(pool, EXPORT))}
        for service, address in addresses.items():
            channel = await stack.enter_async_context(mesh_channel(address, service, tls, retry_safe=_RETRY_SAFE))
            readers[service] = TenantRowsServiceAsyncStub(channel).ReadTenantRows
        yield readers
