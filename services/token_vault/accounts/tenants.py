"""Tenants as their operator sees them: listing, renaming, switching off and on."""

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid
from services.token_vault.accounts.probe import healthy
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
)
from services.token_vault.tokens.eligibility import refusal

NAME_CHARACTERS = 200


class Tenants:
    """Reads and changes tenants in the scope of who asks.

    Args:
        pool: Connections to the database.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def get(self, tenant_id: str, scope: Scope) -> TenantRow:
        """Reads one.

        Raises:
            TenantNotFound: There is none, or it is outside of the scope.
        """
        async with db.connection(self._pool) as connection:
            return await get_tenant(connection, tenant_id, scope)

    async def page(
        self, wanted: TenantFilter, scope: Scope, after: tuple[str, str] | None, limit: int
    ) -> list[TenantRow]:
        """Lists tenants in order, `limit` at most."""
        async with db.connection(self._pool) as connection:
            return await list_tenants(connection, wanted, scope, after, limit)

    async def rename(self, tenant_id: str, scope: Scope, display_name: str) -> TenantRow:
        """Gives a tenant another name. Safe to call again: yes.

        Raises:
            TenantNotFound: There is none, or it is outside of the scope.
            FieldInvalid: The name is empty or too long.
        """
        if not 1 <= len(display_name) <= NAME_CHARACTERS:
            raise FieldInvalid.of("display_name", f"must have 1 to {NAME_CHARACTERS} characters")
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope, lock=True)
            if tenant.display_name == display_name:
                return tenant
            await audit.append(connection, audit.Entry(actor(), "tenant.update", now, tenant_id=tenant_id))
            return await change_tenant(connection, tenant, now, {"display_name": display_name})

    async def disable(self, tenant_id: str, scope: Scope, note: str) -> TenantRow:
        """Switches a tenant off. Safe to call again: yes.

        Raises:
            TenantNotFound: There is none, or it is outside of the scope.
            TenantDisconnected: It is disconnected, or being disconnected.
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
            told = {"status_reason": "disabled_by_operator", "status_detail": "Switched off. Enable it to go on."}
            return await change_tenant(connection, tenant, now, {"status": DISABLED, **told, "probe_at": None})

    async def enable(self, tenant_id: str, scope: Scope) -> TenantRow:
        """Switches a tenant on again, out of an error too. Safe to call again: yes.

        Raises:
            TenantNotFound: There is none, or it is outside of the scope.
            TenantDisconnected: It is disconnected, or being disconnected.
            TenantNeedsReauthorization: The provider does not honour its grant.
        """
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope, lock=True)
            if tenant.status in {DISCONNECTING, DISCONNECTED, NEEDS_REAUTHORIZATION}:
                raise refusal(tenant)
            if tenant.status == ACTIVE:
                return tenant
            await audit.append(connection, audit.Entry(actor(), "tenant.enable", now, tenant_id=tenant_id))
            return await change_tenant(
                connection, tenant, now, healthy() if not tenant.grant_fault else _broken(tenant)
            )


def _broken(tenant: TenantRow) -> dict[str, object]:
    """The columns of a tenant that was switched off while its grant broke: on again, it says so."""
    detail = "The provider ended the access while the tenant was switched off. Connect the account again."
    return {"status": NEEDS_REAUTHORIZATION, "status_reason": tenant.grant_fault, "status_detail": detail}
