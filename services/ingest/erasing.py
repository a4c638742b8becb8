"""Erase what Ingest has stored about tenants and persons that TokenVault names: subscriptions, inbox, dead letters."""

from mailmesh.vault.v1.tenant_pb2 import TENANT_STATUS_DISCONNECTED
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.erasures.persons import person_eraser
from services.erasures.tenants import TenantEraser
from services.ingest.persons import PERSONS
from services.meshkit import db
from services.meshkit.erasing import Plan
from services.meshkit.erasing_persons import PersonErasing
from services.meshkit.person_eraser import PersonEraser

_SCHEMA = "ingest"
_STATUS = "SELECT status FROM ingest.tenants WHERE tenant_id = $1"


def erasers(vault: TokenVaultServiceAsyncStub, pool: db.Pool) -> tuple[TenantEraser, PersonEraser]:
    """Return what erases tenants, and persons within tenants, in rounds.

    Args:
        vault: TokenVault.
        pool: Connections to PostgreSQL.
    """

    async def is_disconnected(tenant_id: str) -> bool:
        """Tell whether the change was followed; until then items can come."""
        async with db.connection(pool) as connection:
            status = await connection.fetchval(_STATUS, tenant_id)
        return status in (None, TENANT_STATUS_DISCONNECTED)

    tenants = TenantEraser(vault, pool, Plan(_SCHEMA), is_disconnected)
    return tenants, person_eraser(vault, PersonErasing(pool, _SCHEMA, PERSONS))
