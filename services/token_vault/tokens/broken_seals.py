"""Report a credential that does not open: in metrics, log and the tenant's status. Other tenants are not affected."""

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.token_vault.metrics import SEALS_BROKEN
from services.token_vault.store.tenants import ACTIVE, ERROR, change_tenant, get_tenant
from services.token_vault.tokens.eligibility import SEAL_BROKEN

logger = structlog.get_logger(__name__)

_DETAIL = (
    "The stored credential does not open: it was altered, or its key is gone. Connect the account again."
    " If several tenants have this error, check the database."
)


async def report_broken_seal(pool: db.Pool, clock: Clock, tenant_id: str) -> None:
    """Set an active tenant to the status error. The log names the tenant and nothing else. Safe to call again."""
    SEALS_BROKEN.inc()
    logger.error("seal is broken", tenant_id=tenant_id)
    async with db.transaction(pool) as connection:
        tenant = await get_tenant(connection, tenant_id, None, lock=True)
        if tenant.status == ACTIVE:
            values = {"status_reason": SEAL_BROKEN, "status_detail": _DETAIL}
            await change_tenant(connection, tenant, clock.now(), {"status": ERROR, **values})
