"""Manage tenants: list, rename, disable and enable them."""

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.text import check_name
from services.token_vault.audit import actor
from services.token_vault.store import audit
from services.token_vault.store.tenants import (
    ACTIVE,
    DISABLED,
    DISCONNECTED,
    DISCONNECTING,
    NEEDS_REAUTHORIZATION,
    Scope,
    TenantFilter,
    TenantRow,
    change_tenant,
    get_tenant,
    list_tenants,
    refuse_erased,
)
from services.token_vault.tokens.eligibility import refusal
from services.token_vault.tokens.grant_state import healthy
from services.token_vault.tokens.issue import Lender

logger = structlog.get_logger(__name__)

NAME_CHARACTERS = 200


class Tenants:
    """Reads and changes tenants in the scope of the caller.

    Args:
        pool: Connections to the database.
        lender: Tries refused tokens.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, lender: Lender, clock: Clock) -> None:
        self._pool = pool
        self._lender = lender
        self._clock = clock

    async def get(self, tenant_id: str, scope: Scope) -> TenantRow:
        """Read a tenant.

        Raises:
            TenantNotFound: The tenant does not exist, or is outside the scope.
        """
        async with db.connection(self._pool) as connection:
            return await get_tenant(connection, tenant_id, scope)

    async def page(
        self, wanted: TenantFilter, scope: Scope, after: tuple[str, str] | None, limit: int
    ) -> list[TenantRow]:
        """List tenants in order, `limit` at most."""
        async with db.connection(self._pool) as connection:
            return await list_tenants(connection, wanted, scope, after, limit)

    async def rename(self, tenant_id: str, scope: Scope, display_name: str) -> TenantRow:
        """Rename a tenant. Safe to call again: yes.

        Raises:
            TenantNotFound: The tenant does not exist, or is outside the scope.
            FieldInvalid: The name is empty or too long, or has a character that acts.
            TenantDisconnected: The tenant is being erased.
        """
        check_name("display_name", display_name, NAME_CHARACTERS, least=1)
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope, lock=True)
            await refuse_erased(connection, tenant_id)
            if tenant.display_name == display_name:
                return tenant
            await audit.append(connection, audit.Entry(actor(), "tenant.update", now, tenant_id=tenant_id))
            return await change_tenant(connection, tenant, now, {"display_name": display_name})

    async def disable(self, tenant_id: str, scope: Scope, note: str) -> TenantRow:
        """Disable a tenant. Safe to call again: yes.

        Raises:
            TenantNotFound: The tenant does not exist, or is outside the scope.
            TenantDisconnected: The tenant is disconnected, or being disconnected.
        """
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope, lock=True)
            if tenant.status in {DISCONNECTING, DISCONNECTED}:
                raise refusal(tenant)
            if tenant.status == DISABLED:
                return tenant
            facts = {"note": note} if note else {}
            entry = audit.Entry(actor(), "tenant.disable", now, tenant_id=tenant_id, detail=facts)
            await audit.append(connection, entry)
            values = {
                "status_reason": "disabled_by_operator",
                "status_detail": "Disabled by the operator. Enable the tenant to resume.",
            }
            return await change_tenant(connection, tenant, now, {"status": DISABLED, **values, "probe_at": None})

    async def enable(self, tenant_id: str, scope: Scope) -> TenantRow:
        """Enable a tenant again, or clear its error. Safe to call again: yes.

        A token that the provider refused is retried once, however final the refusal was.

        Raises:
            TenantNotFound: The tenant does not exist, or is outside the scope.
            TenantDisconnected: The tenant is disconnected, or being disconnected.
            TenantNeedsReauthorization, TenantInError: The provider refuses the grant still.
            MeshError: The provider did not answer about a refused grant; the status has not changed.
        """
        before = await self.get(tenant_id, scope)
        if before.status in {DISCONNECTING, DISCONNECTED}:
            raise refusal(before)
        if before.status != ACTIVE:
            await self._retry_refused(before)
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope, lock=True)
            if tenant.status in {DISCONNECTING, DISCONNECTED, NEEDS_REAUTHORIZATION}:
                raise refusal(tenant)
            if before.status != ACTIVE:
                await audit.append(connection, audit.Entry(actor(), "tenant.enable", now, tenant_id=tenant_id))
            if tenant.status == ACTIVE:
                return tenant
            return await change_tenant(
                connection, tenant, now, healthy() if not tenant.grant_fault else _broken(tenant)
            )

    async def _retry_refused(self, tenant: TenantRow) -> None:
        try:
            await self._lender.retry_refused(tenant.tenant_id)
        except MeshError as exc:
            if tenant.status != DISABLED:
                raise
            # An operator's decision needs no provider: the status after it shows what the provider said last.
            logger.info("refused token not retried", tenant_id=tenant.tenant_id, reason=exc.reason)


def _broken(tenant: TenantRow) -> dict[str, object]:
    """Return the columns of a tenant whose grant broke while it was disabled: once enabled, its status says so."""
    detail = "The provider ended the access while the tenant was disabled. Connect the account again."
    return {"status": NEEDS_REAUTHORIZATION, "status_reason": tenant.grant_fault, "status_detail": detail}
