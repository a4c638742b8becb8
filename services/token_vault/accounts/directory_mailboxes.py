"""Mailboxes of organisations: list those that the allow-list contains, and make them tenants with the app's tokens.

The token is proven to be for the organisation or the user that it was asked for, the mailbox is read with this token,
and the tenant gets this organisation and this user. The database refuses a tenant whose directory is not its own.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.identity.caller import Caller
from services.meshkit.ids import is_id, new_id
from services.meshkit.secret import Secret
from services.providers.abilities import (
    CALENDAR_READ,
    CALENDAR_WRITE,
    granted_abilities,
    lacking_scopes_of_all,
)
from services.providers.names import GOOGLEWS, MS365
from services.token_vault.abilities import abilities_to_request, checked_abilities
from services.token_vault.accounts.admit import (
    Admission,
    access_facts,
    first_values,
    renewed_values,
    require_token_type,
)
from services.token_vault.accounts.consent import Consents, refused
from services.token_vault.accounts.errors import DirectoryNotFound, MailboxConnectedOtherwise, MailboxNotAllowed
from services.token_vault.accounts.flow_start import FlowStart, FlowStarter
from services.token_vault.accounts.flow_steps import Started
from services.token_vault.audit import actor
from services.token_vault.errors import ScopeNotGranted, ScopeTooWide
from services.token_vault.issuers.issuer import Account, DirectoryUser, TokenRefused, TokenResponse
from services.token_vault.store import audit, directories, tokens
from services.token_vault.store.directories import DirectoryRow
from services.token_vault.store.tenants import (
    APP,
    DISCONNECTED,
    TenantRow,
    change_tenant,
    changed,
    find_account,
    insert_tenant,
)

_OF_CALENDARS = frozenset({CALENDAR_READ, CALENDAR_WRITE})
_NO_REFRESH_TOKEN = "none"  # noqa: S105 - no token: the store keeps a sealed one of every tenant


@dataclass(frozen=True)
class Chosen:
    """A mailbox that is to become a tenant.

    Args:
        directory_id: The organisation.
        user_id: The user's id.
        display_name: The tenant's name, or empty for the account's own.
        abilities: Empty for the default.
    """

    directory_id: str
    user_id: str
    display_name: str
    abilities: tuple[str, ...]


@dataclass(frozen=True)
class DirectoryMailboxes:
    """The use cases of `DirectoryService`.

    Args:
        pool: Connections to the database.
        consents: The app's access to organisations.
        starter: Starts the flows of consents.
        admission: Seals tokens for tenants.
        clock: The time.
    """

    pool: db.Pool
    consents: Consents
    starter: FlowStarter
    admission: Admission
    clock: Clock

    async def start_consent(
        self, caller: Caller, directory_id: str, addresses: tuple[str, ...], *, allows_all: bool
    ) -> Started:
        """Start the flow of an administrator's consent.

        Raises:
            ScopeTooWide, PublicUrlUnset, ProviderUnknown: See the contract.
        """
        _require_unlimited(caller)
        self.starter.require_public_url()
        self.consents.page(MS365)
        start = FlowStart(
            MS365,
            f"key:{caller.key_id}",
            directory_id=directory_id,
            allowed_addresses=addresses,
            allows_all=allows_all,
        )
        return await self.starter.start(start)

    async def page(self, caller: Caller, after: str, limit: int) -> list[DirectoryRow]:
        """Read organisations by id. Raises `ScopeTooWide`."""
        _require_unlimited(caller)
        async with db.connection(self.pool) as connection:
            return await directories.page(connection, after, limit)

    async def allow(
        self, caller: Caller, directory_id: str, addresses: tuple[str, ...], *, allows_all: bool
    ) -> DirectoryRow:
        """Replace the allow-list of an organisation. Safe to call again. Raises `ScopeTooWide`, `DirectoryNotFound`."""
        _require_unlimited(caller)
        facts = {"directory_id": directory_id, "allowed": "all" if allows_all else str(len(addresses))}
        async with db.transaction(self.pool) as connection:
            row = await directories.allow(
                connection,
                provider_of(directory_id),
                directory_id,
                addresses,
                self.clock.now(),
                allows_all=allows_all,
            )
            if row is None:
                raise _not_found(directory_id)
            await audit.append(connection, audit.Entry(actor(), "directory.allow", self.clock.now(), detail=facts))
        return row

    async def mailboxes(
        self, caller: Caller, directory_id: str, behind: str, size: int
    ) -> tuple[list[DirectoryUser], str]:
        """Read a page of the users that the allow-list contains; return the provider's mark of the next page too.

        Raises:
            MeshError: See the contract.
        """
        _require_unlimited(caller)
        row = await self._directory(directory_id)
        app = self.consents.app(row.provider)
        try:
            token = await app.directory_token(row.directory_id, row.administrator)
            users, mark = await app.users(token.access_token, behind, size)
        except TokenRefused as exc:
            raise refused(exc, directory_id) from exc
        return [user for user in users if row.allows(user.address)], mark

    async def connect(self, caller: Caller, chosen: Chosen) -> TenantRow:
        """Make a mailbox a tenant, after it was read with the app's token. Safe to call again.

        Raises:
            MeshError: See the contract; nothing is stored then.
        """
        abilities = checked_abilities(chosen.abilities)
        _require_unlimited(caller)
        if not all(caller.has_ability(one) for one in abilities_to_request(abilities, None)):
            raise ScopeTooWide(metadata={"field": "abilities"})
        row = await self._directory(chosen.directory_id)
        account, token = await self._tried(row, chosen, abilities)
        try:
            return await self._admitted(row, token, account, chosen, abilities)
        except asyncpg.UniqueViolationError:
            # Two calls connected the same mailbox at once. The other one was first, so this one finds its tenant.
            return await self._admitted(row, token, account, chosen, abilities)

    async def _directory(self, directory_id: str) -> DirectoryRow:
        async with db.connection(self.pool) as connection:
            row = await directories.get(connection, provider_of(directory_id), directory_id)
        if row is None:
            raise _not_found(directory_id)
        return row

    async def _tried(
        self, row: DirectoryRow, chosen: Chosen, abilities: tuple[str, ...]
    ) -> tuple[Account, TokenResponse]:
        """Read the user, and the mailbox with a token for it: what the app may really do is in no token."""
        app = self.consents.app(row.provider)
        async with db.connection(self.pool) as connection:
            found = await find_account(connection, row.provider, _external_account(row, chosen.user_id))
        wanted = abilities_to_request(abilities, found)
        try:
            reader = await app.directory_token(row.directory_id, row.administrator)
            account = await app.find_user(reader.access_token, row.directory_id, chosen.user_id)
            if not row.allows(account.address):
                raise MailboxNotAllowed(metadata={"directory_id": row.directory_id})
            token = await app.mailbox_token(row.directory_id, account, wanted)
            _require_enough(row, wanted, token)
            granted = granted_abilities(row.provider, wanted, token.scopes)
            if not _OF_CALENDARS.issuperset(granted):
                await app.check_mailbox(token.access_token, account.user_id)
            if not _OF_CALENDARS.isdisjoint(granted):
                await app.check_calendars(token.access_token, account.user_id)
        except TokenRefused as exc:
            raise refused(exc, row.directory_id) from exc
        return account, token

    async def _admitted(
        self, row: DirectoryRow, token: TokenResponse, account: Account, chosen: Chosen, abilities: tuple[str, ...]
    ) -> TenantRow:
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            # The allow-list may have changed since it was read, but not any more once the tenant is stored.
            present = await directories.get(connection, row.provider, row.directory_id, lock=True)
            if present is None or not present.allows(account.address):
                raise MailboxNotAllowed(metadata={"directory_id": row.directory_id})
            found = await find_account(connection, row.provider, _external_account(row, account.user_id))
            if found is not None:
                require_token_type(found, APP)
                _require_same_directory(row, found)
            wanted = abilities_to_request(abilities, found)
            _require_enough(row, wanted, token)
            values = (
                _values(row, account, chosen, wanted, now)
                if found is None
                else _renewed(row, account, chosen, wanted, now)
            )
            tenant_id = new_id() if found is None else found.tenant_id
            if found is None:
                await insert_tenant(connection, values | {"tenant_id": tenant_id})
            await self._put_token(connection, tenant_id, token, now)
            if found is None:
                tenant = await changed(connection, tenant_id, "", now)
            else:
                tenant = await change_tenant(connection, found, now, values, is_reconnected=True)
            await audit.append(connection, _entry(tenant, now, is_reconnect=found is not None))
        return tenant

    async def _put_token(self, connection: db.Connection, tenant_id: str, token: TokenResponse, now: datetime) -> None:
        """Store the app's token. There is no refresh token: the next token comes from the app's own credentials."""
        key = await self.admission.data_key(connection, tenant_id)
        sealed = self.admission.cipher.sealed(key, token, Secret(_NO_REFRESH_TOKEN), now)
        await tokens.put_tokens(connection, tenant_id, sealed, APP)


def provider_of(directory_id: str) -> str:
    """Return the provider of an organisation: Microsoft's ids are UUIDs, Google's begin with a C."""
    return MS365 if is_id(directory_id) else GOOGLEWS


def _require_same_directory(row: DirectoryRow, found: TenantRow) -> None:
    """Check that a connected tenant is this organisation's: a user who moved to another one is disconnected first."""
    if found.status != DISCONNECTED and found.directory_id != row.directory_id:
        raise MailboxConnectedOtherwise(subject=found.tenant_id, metadata={"tenant_id": found.tenant_id})


def _external_account(row: DirectoryRow, user_id: str) -> str:
    """Return the account's identifier as a person's grant has it, so that no account is two tenants."""
    return f"{row.directory_id}.{user_id}" if row.provider == MS365 else user_id


def _require_unlimited(caller: Caller) -> None:
    if caller.tenants is not None:
        raise ScopeTooWide(metadata={"field": "tenant_ids"})


def _require_enough(row: DirectoryRow, abilities: tuple[str, ...], token: TokenResponse) -> None:
    if granted_abilities(row.provider, abilities, token.scopes):
        return
    lacking = lacking_scopes_of_all(row.provider, abilities, token.scopes)
    # Microsoft's permissions of apps have no form for shared mailboxes.
    named = " ".join(sorted({scope.removesuffix(".Shared") for scope in lacking}))
    raise ScopeNotGranted(
        f"The organisation has not granted the app: {named}. Add these app permissions to the app registration, and"
        " have the administrator consent again.",
        metadata={"scopes": named},
    )


def _values(
    row: DirectoryRow, account: Account, chosen: Chosen, abilities: tuple[str, ...], now: datetime
) -> dict[str, object]:
    return {
        "provider": row.provider,
        "external_account": _external_account(row, account.user_id),
        "external_tenant_id": row.directory_id,
        "user_id": account.user_id,
        "address": account.address,
        "directory_id": row.directory_id,
        **first_values(account, chosen.display_name, abilities, now),
    }


def _renewed(
    row: DirectoryRow, account: Account, chosen: Chosen, abilities: tuple[str, ...], now: datetime
) -> dict[str, object]:
    named = {"display_name": chosen.display_name} if chosen.display_name else {}
    return (
        renewed_values(abilities, now)
        | {
            "address": account.address,
            "external_tenant_id": row.directory_id,
            "directory_id": row.directory_id,
            "owner_tenant_id": None,
        }
        | named
    )


def _entry(tenant: TenantRow, now: datetime, *, is_reconnect: bool) -> audit.Entry:
    facts = {"directory_id": tenant.directory_id or "", "token_type": tenant.token_type, **access_facts(tenant)}
    action = "tenant.reconnect" if is_reconnect else "tenant.connect"
    return audit.Entry(actor(), action, now, tenant_id=tenant.tenant_id, detail=facts)


def _not_found(directory_id: str) -> MeshError:
    return DirectoryNotFound(resource=directory_id, metadata={"directory_id": directory_id})
