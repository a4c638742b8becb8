"""Erase a service's rows of the tenants that TokenVault names."""

from collections.abc import Awaitable, Callable

from mailmesh.vault.v1.erasure_pb2 import ErasedTable
from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmErasureRequest, GetPendingErasuresRequest
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit import db
from services.meshkit.erasing import Plan, erase_each, erase_rows


async def _at_once(_tenant_id: str) -> bool:
    return True


class TenantEraser:
    """Erases tenants in rounds; for a periodic loop.

    Args:
        vault: TokenVault.
        pool: Connections to PostgreSQL.
        plan: The tables of the service.
        is_settled: Tells whether no more rows of a tenant can come; until then the tenant waits for a later round.
    """

    def __init__(
        self,
        vault: TokenVaultServiceAsyncStub,
        pool: db.Pool,
        plan: Plan,
        is_settled: Callable[[str], Awaitable[bool]] = _at_once,
    ) -> None:
        self._vault = vault
        self._pool = pool
        self._plan = plan
        self._is_settled = is_settled

    async def round(self) -> int:
        """Erase the tenants that TokenVault names; return their number. Safe to call again and concurrently."""
        pending = await self._vault.GetPendingErasures(GetPendingErasuresRequest())
        return await erase_each(pending.tenant_ids, self._erase, str)

    async def _erase(self, tenant_id: str) -> bool:
        if not await self._is_settled(tenant_id):
            return False
        removed = await erase_rows(self._pool, self._plan, tenant_id)
        tables = [ErasedTable(table=table, rows=rows) for table, rows in removed.items()]
        await self._vault.ConfirmErasure(ConfirmErasureRequest(tenant_id=tenant_id, tables=tables))
        return True
