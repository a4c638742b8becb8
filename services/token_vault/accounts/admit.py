"""Admit a verified account: create its tenant, or reconnect the tenant that it already has."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.ids import new_id
from services.meshkit.text import plain_name
from services.providers.abilities import connect_command, granted_abilities
from services.token_vault.abilities import abilities_to_request, granted_before
from services.token_vault.accounts.errors import AbilitiesWouldBeLost, AccountMismatch, MailboxConnectedOtherwise
from services.token_vault.errors import RefreshTokenMissing, TenantDisconnected
from services.token_vault.issuers.issuer import Account, Grant
from services.token_vault.keys.errors import SealBroken
from services.token_vault.keys.sealing import DataKey, new_data_key, unwrap
from services.token_vault.store import audit, authorization_flows, data_keys, encryption_keys, tokens
from services.token_vault.store.authorization_flows import FlowRow
from services.token_vault.store.tenants import (
    ACTIVE,
    DELEGATED,
    DISCONNECTED,
    DISCONNECTING,
    TenantRow,
    change_tenant,
    changed,
    find_account,
    insert_tenant,
)
from services.token_vault.tokens.token_cipher import TokenCipher

_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Admitted:
    """The tenant of a connected account."""

    tenant: TenantRow
    is_reconnect: bool


@dataclass(frozen=True)
class Admission:
    """Stores a tenant and its credentials in one transaction.

    Args:
        pool: Connections to the database.
        cipher: Seals the tokens.
        clock: The time.
    """

    pool: db.Pool
    cipher: TokenCipher
    clock: Clock

    async def admit(self, flow: FlowRow, grant: Grant, account: Account) -> Admitted:
        """Create or update the tenant of an account.

        Raises:
            AccountMismatch: The flow is a reconnect of a tenant with another account.
            TenantDisconnected: The tenant is being disconnected.
            AbilitiesWouldBeLost: The grant lacks abilities that the tenant has and the flow did not ask for.
            asyncpg.UniqueViolationError: Another flow has just created the tenant; calling again updates it.
        """
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            found = await find_account(connection, flow.provider, grant.identity.external_account)
            _require_same_account(flow, found)
            _require_nothing_lost(flow, grant, found)
            tenant_id = found.tenant_id if found else new_id()
            if found is None:
                await insert_tenant(connection, _columns(flow, grant, account, now) | {"tenant_id": tenant_id})
            await self._put_tokens(connection, tenant_id, grant, now)
            if found is None:
                tenant = await changed(connection, tenant_id, "", now)
            else:
                tenant = await change_tenant(
                    connection, found, now, _renewed(flow, grant, account, found, now), is_reconnected=True
                )
            await _record(connection, flow, tenant, now, is_reconnect=found is not None)
        return Admitted(tenant, found is not None)

    async def _put_tokens(self, connection: db.Connection, tenant_id: str, grant: Grant, now: datetime) -> None:
        refresh_token = grant.tokens.refresh_token
        if refresh_token is None:
            raise RefreshTokenMissing
        key = await self.data_key(connection, tenant_id)
        await tokens.put_tokens(connection, tenant_id, self.cipher.sealed(key, grant.tokens, refresh_token, now))

    async def data_key(self, connection: db.Connection, tenant_id: str) -> DataKey:
        """Return the tenant's data key; a new one if there is none, or if the stored one no longer opens."""
        wrapped = await data_keys.get_key(connection, tenant_id)
        if wrapped is not None:
            try:
                return unwrap(self.cipher.ring, wrapped)
            except SealBroken:
                await tokens.destroy(connection, tenant_id)
        key_id = await encryption_keys.writing_key_id(connection, lock=True)
        key, wrapped = new_data_key(self.cipher.ring, tenant_id, key_id)
        await data_keys.insert_key(connection, wrapped)
        return key


def _require_same_account(flow: FlowRow, found: TenantRow | None) -> None:
    if flow.tenant_id and (found is None or found.tenant_id != flow.tenant_id):
        raise AccountMismatch(subject=flow.tenant_id, metadata={"tenant_id": flow.tenant_id})
    if found is not None:
        require_token_type(found, DELEGATED)


def require_token_type(found: TenantRow, token_type: str) -> None:
    """Check that the tenant of an account may get tokens of a type: no connect replaces those of the other type.

    Raises:
        TenantDisconnected: It is being disconnected.
        MailboxConnectedOtherwise: It is connected with the other type.
    """
    metadata = {"tenant_id": found.tenant_id}
    if found.status == DISCONNECTING:
        raise TenantDisconnected(subject=found.tenant_id, metadata=metadata)
    if found.status != DISCONNECTED and found.token_type != token_type:
        raise MailboxConnectedOtherwise(subject=found.tenant_id, metadata=metadata)


def _require_nothing_lost(flow: FlowRow, grant: Grant, found: TenantRow | None) -> None:
    """Refuse a grant that would replace a wider one of the same account.

    A flow that does not name its tenant cannot ask for the tenant's abilities: the account is known only afterwards.
    The grant of a person who declined what the flow asked for is accepted: the result names what is missing.
    """
    others = set(granted_before(found)) - set(flow.abilities)
    lost = others.difference(granted_abilities(flow.provider, sorted(others), grant.tokens.scopes))
    if found is None or not lost:
        return
    command = connect_command(flow.provider, found.tenant_id, flow.abilities)
    raise AbilitiesWouldBeLost(
        f"The account is a tenant already, and the new grant lacks {', '.join(sorted(lost))}. Connect it by: {command}",
        subject=found.tenant_id,
        metadata={"provider": flow.provider, "command": command},
    )


def _columns(flow: FlowRow, grant: Grant, account: Account, now: datetime) -> dict[str, object]:
    return {
        "provider": flow.provider,
        "external_account": grant.identity.external_account,
        "external_tenant_id": grant.identity.external_tenant_id,
        "user_id": grant.identity.user_id,
        "address": account.address,
        **first_values(account, flow.display_name, flow.abilities, now),
    }


def first_values(account: Account, name: str, abilities: Iterable[str], now: datetime) -> dict[str, object]:
    """Return the columns that each new tenant begins with, however its account is connected.

    Args:
        account: The account.
        name: The chosen name, or empty for the account's own.
        abilities: The requested abilities.
        now: The time.
    """
    return {
        "display_name": name or plain_name(account.display_name or account.address, _NAME_CHARACTERS),
        "status": ACTIVE,
        "status_changed_at": now,
        "requested_abilities": list(abilities),
        "connected_at": now,
        "created_at": now,
        "updated_at": now,
    }


def renewed_values(abilities: Iterable[str], now: datetime) -> dict[str, object]:
    """Return the columns by which a tenant works as after its first connection, however its account is connected."""
    return {
        "status": ACTIVE,
        "status_reason": "",
        "status_detail": "",
        "grant_fault": "",
        "probe_at": None,
        "probe_failures": 0,
        "released_at": None,
        "requested_abilities": list(abilities),
        "connected_at": now,
    }


def access_facts(tenant: TenantRow) -> dict[str, str]:
    """Return what a connection grants, for the audit log."""
    return {
        "scopes": " ".join(tenant.scopes or ()),
        "abilities": " ".join(tenant.granted_abilities),
        "missing_abilities": " ".join(tenant.missing_abilities),
    }


def _renewed(flow: FlowRow, grant: Grant, account: Account, found: TenantRow, now: datetime) -> dict[str, object]:
    return renewed_values(abilities_to_request(tuple(flow.abilities), found), now) | {
        "address": account.address or found.address,
        "display_name": flow.display_name or found.display_name,
        "external_tenant_id": grant.identity.external_tenant_id,
        "directory_id": None,
        "owner_tenant_id": None,
    }


async def _record(
    connection: db.Connection, flow: FlowRow, tenant: TenantRow, now: datetime, *, is_reconnect: bool
) -> None:
    await authorization_flows.end_flow(
        connection,
        flow.flow_id,
        step=authorization_flows.CONNECTED,
        detail=" ".join(tenant.missing_abilities),
        tenant_id=tenant.tenant_id,
    )
    action = "tenant.reconnect" if is_reconnect else "tenant.connect"
    facts = {"flow_id": flow.flow_id, "started_by": flow.started_by, **access_facts(tenant)}
    entry = audit.Entry(f"browser:{flow.flow_id}", action, now, tenant_id=tenant.tenant_id, detail=facts)
    await audit.append(connection, entry)
