"""Erase what Processor has stored about tenants and persons that TokenVault names: mail, events, sends, calendars."""

from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.erasures.persons import person_eraser
from services.erasures.tenants import TenantEraser
from services.meshkit import db
from services.meshkit.erasing import Plan
from services.meshkit.erasing_persons import PersonErasing
from services.meshkit.person_eraser import PersonEraser
from services.processor.persons import PERSONS, caught_up
from services.processor.stream.store.tenants import status
from services.processor.stream.store.tombstones import BURY

PLAN = Plan("processor", first=["mailboxes"], statements={"events": BURY})
"""The mailbox has the fence without which no worker can commit, so it goes first. Events become tombstones."""


def erasers(vault: TokenVaultServiceAsyncStub, pool: db.Pool) -> tuple[TenantEraser, PersonEraser]:
    """Return what erases tenants, and persons within tenants, in rounds.

    Args:
        vault: TokenVault.
        pool: Connections to PostgreSQL.
    """

    async def is_disconnected(tenant_id: str) -> bool:
        """Tell whether the change was followed; until then a worker may commit."""
        async with db.connection(pool) as connection:
            return await status(connection, tenant_id) in ("", "disconnected")

    persons = PersonErasing(pool, "processor", PERSONS, caught_up=caught_up)
    return TenantEraser(vault, pool, PLAN, is_disconnected), person_eraser(vault, persons)
