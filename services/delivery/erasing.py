"""Erase what Delivery has stored about tenants and persons that TokenVault names: deliveries, bodies, attempts."""

from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.delivery.persons import PERSONS
from services.erasures.persons import person_eraser
from services.erasures.tenants import TenantEraser
from services.meshkit import db
from services.meshkit.erasing import Plan
from services.meshkit.erasing_persons import PersonErasing
from services.meshkit.person_eraser import PersonEraser

_SCHEMA = "delivery"


def erasers(vault: TokenVaultServiceAsyncStub, pool: db.Pool) -> tuple[TenantEraser, PersonEraser]:
    """Return what erases tenants, and persons within tenants, in rounds.

    Args:
        vault: TokenVault.
        pool: Connections to PostgreSQL.
    """
    return TenantEraser(vault, pool, Plan(_SCHEMA)), person_eraser(vault, PersonErasing(pool, _SCHEMA, PERSONS))
