"""Erase the persons that TokenVault names from a service's rows."""

from mailmesh.vault.v1.erasure_pb2 import ErasedTable, ErasureProgress
from mailmesh.vault.v1.token_vault_service_pb2 import ConfirmErasureRequest, GetPendingErasuresRequest
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import PersonErasing, Progress
from services.meshkit.person_eraser import Pending, PersonEraser


def person_eraser(vault: TokenVaultServiceAsyncStub, erasing: PersonErasing) -> PersonEraser:
    """Return what erases persons within tenants in rounds.

    Args:
        vault: TokenVault.
        erasing: Erases from the service's schema.
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

    return PersonEraser(erasing, pending, report)
