"""Erase what Delivery has stored about tenants that TokenVault names: deliveries with their bodies, and attempts."""

from mailmesh.vault.v1.erasure_pb2 import ErasedTable
from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmErasureRequest, GetPendingErasuresRequest, PendingPerson
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.delivery.persons import PERSONS
from services.meshkit import db
from services.meshkit.erasing import Plan, erase_each, erase_rows
from services.meshkit.erasing_persons import SETTLE_SECONDS, PersonToErase, Settling, erase_person

_PLAN = Plan("delivery")


class TenantEraser:
    """Erases tenants, and persons within tenants, in rounds; for a periodic loop.

    Args:
        vault: TokenVault.
        pool: Connections to PostgreSQL.
    """

    def __init__(self, vault: TokenVaultServiceAsyncStub, pool: db.Pool) -> None:
        self._vault = vault
        self._pool = pool
        self._settling = Settling(SETTLE_SECONDS)

    async def round(self) -> int:
        """Erase the tenants that TokenVault names; return their number. Safe to call again and beside."""
        pending = await self._vault.GetPendingErasures(GetPendingErasuresRequest())
        return await erase_each(pending.tenant_ids, self._erase, str)

    async def persons_round(self) -> int:
        """Erase the persons that TokenVault names; return their number. Safe to call again and beside.

        A round goes through all rows of each person's tenant, so it may take long.
        """
        pending = await self._vault.GetPendingErasures(GetPendingErasuresRequest())
        self._settling.keep({person.erasure_id for person in pending.persons})
        return await erase_each(pending.persons, self._erase_person, lambda person: person.tenant_id)

    async def _erase_person(self, person: PendingPerson) -> bool:
        named = PersonToErase(person.erasure_id, person.tenant_id, person.address)
        removed = await erase_person(self._pool, "delivery", PERSONS, named)
        self._settling.check(person.erasure_id, removed)
        await self._vault.ConfirmErasure(
            ConfirmErasureRequest(
                erasure_id=person.erasure_id,
                tenant_id=person.tenant_id,
                tables=[ErasedTable(table=table, rows=rows) for table, rows in removed.items()],
            )
        )
        return True

    async def _erase(self, tenant_id: str) -> bool:
        removed = await erase_rows(self._pool, _PLAN, tenant_id)
        tables = [ErasedTable(table=table, rows=rows) for table, rows in removed.items()]
        await self._vault.ConfirmErasure(ConfirmErasureRequest(tenant_id=tenant_id, tables=tables))
        return True
