"""The abilities that a request names: checks of them, and the failure of a tenant that lacks one."""

from collections.abc import Iterable

from services.providers.abilities import ABILITIES, MAIL_READ, connect_command
from services.providers.names import GOOGLEWS, MS365
from services.token_vault.errors import AbilityNotGranted, AbilityUnknown
from services.token_vault.store.tenants import APP, DISCONNECTED, TenantRow


def checked_abilities(named: Iterable[str], field: str = "abilities") -> tuple[str, ...]:
    """Return the named abilities, each once, sorted.

    Args:
        named: As the caller wrote them.
        field: The field of the request that names them.

    Raises:
        AbilityUnknown: This version does not have one of them.
    """
    abilities = tuple(sorted(set(named)))
    for ability in abilities:
        if ability not in ABILITIES:
            raise AbilityUnknown(
                violations={field: f"must be among {', '.join(ABILITIES)}"},
                metadata={"ability": ability[:50], "known": ",".join(ABILITIES)},
            )
    return abilities


def abilities_to_request(named: tuple[str, ...], tenant: TenantRow | None) -> tuple[str, ...]:
    """Return the abilities that an attempt to connect asks for, sorted.

    A reconnect asks for everything that the tenant was asked for before, so that it loses nothing.

    Args:
        named: The abilities that the request names.
        tenant: The tenant of a reconnect, or None.
    """
    return tuple(sorted({*named, *abilities_before(tenant)})) or (MAIL_READ,)


def abilities_before(tenant: TenantRow | None) -> tuple[str, ...]:
    """Return the abilities that a tenant was asked for before. A disconnected one starts like a new account."""
    return () if tenant is None or tenant.status == DISCONNECTED else tuple(tenant.requested_abilities)


def granted_before(tenant: TenantRow | None) -> tuple[str, ...]:
    """Return the abilities that a tenant has granted. A disconnected one starts like a new account."""
    return () if tenant is None or tenant.status == DISCONNECTED else tenant.granted_abilities


_OF_PERSON = "The person consents to it"
_OF_OWNER = "The owner of the shared mailbox consents to it first"
_OF_ADMINISTRATOR = {
    MS365: "An administrator of the organisation first grants it to the app in the directory, by a consent that"
    " `mailmesh directories consent` begins",
    GOOGLEWS: "An administrator of the organisation first adds its scopes to the service account's domain-wide"
    " delegation in the Admin console",
}


def _way(tenant: TenantRow) -> str:
    """Return whose decision gives a tenant more abilities, and where it is made."""
    if tenant.token_type == APP:
        return _OF_ADMINISTRATOR[tenant.provider]
    return _OF_PERSON if tenant.owner_tenant_id is None else _OF_OWNER


def grant_command(tenant: TenantRow, abilities: Iterable[str]) -> str:
    """Return the command that connects a tenant again with more abilities, whatever its tokens are."""
    options = "".join(f" --ability {ability}" for ability in abilities)
    if tenant.directory_id is not None:
        return f"mailmesh directories connect {tenant.directory_id} {tenant.user_id}{options}"
    if tenant.owner_tenant_id is not None:
        return f"mailmesh tenants connect-shared {tenant.owner_tenant_id} {tenant.address}{options}"
    return connect_command(tenant.provider, tenant.tenant_id, abilities)


def require_granted(tenant: TenantRow, ability: str) -> None:
    """Check that a tenant has granted an ability.

    Raises:
        AbilityNotGranted: It has not; the failure says how to grant it.
    """
    if ability in tenant.granted_abilities:
        return
    command = grant_command(tenant, (ability,))
    raise AbilityNotGranted(
        f"The tenant has not granted {ability}. {_way(tenant)}. Then connect its account again with this ability:"
        f" {command}",
        subject=tenant.tenant_id,
        metadata={"ability": ability, "tenant_id": tenant.tenant_id, "command": command},
    )
