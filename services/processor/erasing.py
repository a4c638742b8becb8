"""Erase what Processor has stored about tenants that TokenVault names: mail, threads, events, sends, calendars."""

from mailmesh.vault.v1.erasure_pb2 import ErasedTable, ErasureProgress
from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmErasureRequest, GetPendingErasuresRequest
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit import db
from services.meshkit.erasing import Plan, erase_each, erase_rows
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import PersonErasing, Progress
from services.meshkit.person_eraser import Pending, PersonEraser
from services.processor.persons import PERSONS, caught_up
from services.processor.stream.store.tenants import status
from services.processor.stream.store.tombstones import BURY

PLAN = Plan("processor", first=["mailboxes"], statements={"events": BURY})
"""The mailbox has the fence without which no worker can commit, so it goes first. Events become tombstones."""


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
        """Erase the tenants that TokenVault names; return their number. Safe to call again and beside."""
        pending = await self._vault.GetPendingErasures(GetPendingErasuresRequest())
        return await erase_each(pending.tenant_ids, self._erase, str)

    async def _erase(self, tenant_id: str) -> bool:
        if not await self._is_disconnected(tenant_id):
            return False  # the change is still to be followed; until then a worker may commit
        removed = await erase_rows(self._pool, PLAN, tenant_id)
        tables = [ErasedTable(table=table, rows=rows) for table, rows in removed.items()]
        await self._vault.ConfirmErasure(ConfirmErasureRequest(tenant_id=tenant_id, tables=tables))
        return True

    async def _is_disconnected(self, tenant_id: str) -> bool:
        async with db.connection(self._pool) as connection:
            return await status(connection, tenant_id) in ("", "disconnected")


def person_eraser(vault: TokenVaultServiceAsyncStub, pool: db.Pool) -> PersonEraser:
    """Return what erases persons within tenants in rounds.

    Args:
        vault: TokenVault.
        pool: Connections to PostgreSQL.
    """

    async def pending() -> list[Pending]:
        found = await vault.GetPendingErasures(GetPendingErasuresRequest())
        return [Pending(PersonToErase(one.erasure_id, one.tenant_id, one.address), one.is_due) for one in found.persons]

    async def report(person: PersonToErase, found: Progress) -> None:
        mark = found.mark
        progress = ErasureProgress(table=found.table, rows_checked=mark.checked, is_done=mark.is_done)
        progress.cut_off_at.FromDatetime(mark.cut_off_at)
        tables = [ErasedTable(table=table, rows=rows) for table, rows in mark.removed.items()]
        named = {"erasure_id": person.erasure_id, "tenant_id": person.tenant_id}
        await vault.ConfirmErasure(ConfirmErasureRequest(tables=tables, progress=progress, **named))

    return PersonEraser(PersonErasing(pool, "processor", PERSONS, caught_up=caught_up), pending, report)
