"""Erase what Workflows has stored about tenants that TokenVault names: runs, their checkpoints and their notices."""

from mailmesh.vault.v1.erasure_pb2 import ErasedTable
from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmErasureRequest, GetPendingErasuresRequest
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit import db
from services.meshkit.erasing import Plan, erase_each, erase_rows

_PLAN = Plan("workflows", first=("runs",))


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
        pending = await self._vault.GetPendingErasures(GetPendingErasuresRequest())
        return await erase_each(pending.tenant_ids, self._erase)

    async def _erase(self, tenant_id: str) -> bool:
        removed = await erase_rows(self._pool, _PLAN, tenant_id)
        tables = [ErasedTable(table=table, rows=rows) for table, rows in removed.items()]
        await self._vault.ConfirmErasure(ConfirmErasureRequest(tenant_id=tenant_id, tables=tables))
        return True
