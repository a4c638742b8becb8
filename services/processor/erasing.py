"""Erase what Processor has stored about tenants that TokenVault names: mail, threads, events, sends, calendars."""

from mailmesh.vault.v1.erasure_pb2 import ErasedTable
from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmErasureRequest, GetPendingErasuresRequest
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit import db
from services.meshkit.erasing import erase_rows
from services.processor.stream.store import tombstones
from services.processor.stream.store.tenants import status

_EVENTS = "events"


class TenantEraser:
    """Erases tenants in rounds; for a periodic loop.

    Args:
        vault: TokenVault.
        pool: Connections to PostgreSQL.
    """

    def __init__(self, vault: TokenVaultServiceAsyncStub, pool: db.Pool) -> None:
        self._vault = vault
        self._pool = pool

    async def round(self) -> int:
        """Erase the tenants that TokenVault names; return their number. Safe to call again and concurrently."""
        erased = 0
        for tenant_id in (await self._vault.GetPendingErasures(GetPendingErasuresRequest())).tenant_ids:
            if not await self._is_disconnected(tenant_id):
                continue  # the change is still to be followed; until then a worker may commit
            removed = await self._erase(tenant_id)
            tables = [ErasedTable(table=table, rows=rows) for table, rows in removed.items() if rows]
            await self._vault.ConfirmErasure(ConfirmErasureRequest(tenant_id=tenant_id, tables=tables))
            erased += 1
        return erased

    async def _erase(self, tenant_id: str) -> dict[str, int]:
        # The mailbox goes with the rest, and with it the fence without which no worker can commit.
        removed = await erase_rows(self._pool, "processor", tenant_id, [_EVENTS])
        return {**removed, _EVENTS: await tombstones.bury(self._pool, tenant_id)}

    async def _is_disconnected(self, tenant_id: str) -> bool:
        async with db.connection(self._pool) as connection:
            return await status(connection, tenant_id) in ("", "disconnected")
