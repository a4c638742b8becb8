"""Make a mailbox that a connected person may open a tenant of its own, which uses the grant of that person.

No call of Graph lists what a person may open in other mailboxes, so the caller names the address, and the mailbox is
read with the person's own token before anything is stored.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import Caller
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.providers.abilities import (
    CALENDAR_READ,
    CALENDAR_WRITE,
    granted_abilities,
    lacking_scopes_of_all,
    scopes_in_shared,
)
from services.providers.names import MS365
from services.token_vault.abilities import abilities_to_request, checked_abilities
from services.token_vault.accounts.admit import (
    Admission,
    access_facts,
    first_values,
    renewed_values,
    require_token_type,
)
from services.token_vault.accounts.errors import MailboxConnectedOtherwise, SharedMailboxNotOffered
from services.token_vault.audit import actor
from services.token_vault.errors import ScopeNotGranted, ScopeTooWide
from services.token_vault.issuers.issuer import Account, ConsentingApp, TokenRefused, TokenResponse
from services.token_vault.store import audit, tokens
from services.token_vault.store.tenants import (
    ACTIVE,
    DELEGATED,
    DISCONNECTED,
    TenantRow,
    change_tenant,
    changed,
    find_account,
    get_tenant,
    insert_tenant,
)
from services.token_vault.tokens.eligibility import require_eligible
from services.token_vault.tokens.errors import TenantNeedsReauthorization
from services.token_vault.tokens.grant_state import sentence
from services.token_vault.tokens.issue import Lender

_NO_REFRESH_TOKEN = "none"  # noqa: S105 - no token: the store keeps a sealed one of every tenant
_MINIMUM_SECONDS = 60
_OF_CALENDARS = frozenset({CALENDAR_READ, CALENDAR_WRITE})


@dataclass(frozen=True)
class WantedMailbox:
    """A shared mailbox that is to become a tenant.

    Args:
        owner_tenant_id: The tenant of the person who may open it.
        address: Its address, in lower case.
        display_name: The tenant's name, or empty for the mailbox's own.
        abilities: Empty for the default.
    """

    owner_tenant_id: str
    address: str
    display_name: str
    abilities: tuple[str, ...]


@dataclass(frozen=True)
class SharedMailboxes:
    """The use case of `TenantService.ConnectSharedMailbox`.

    Args:
        pool: Connections to the database.
        lender: Lends the owner's token.
        apps: Providers where a person's token opens other mailboxes.
        admission: Seals tokens for tenants.
        clock: The time.
    """

    pool: db.Pool
    lender: Lender
    apps: dict[str, ConsentingApp]
    admission: Admission
    clock: Clock

    async def connect(self, caller: Caller, wanted: WantedMailbox) -> TenantRow:
        """Make a shared mailbox a tenant, after it was read with its owner's token. Safe to call again.

        Raises:
            MeshError: See the contract; nothing is stored then.
        """
        abilities = checked_abilities(wanted.abilities)
        if caller.tenants is not None:
            raise ScopeTooWide(metadata={"field": "tenant_ids"})
        if not all(caller.has_ability(one) for one in abilities_to_request(abilities, None)):
            raise ScopeTooWide(metadata={"field": "abilities"})
        owner, app = await self._owner(wanted.owner_tenant_id)
        if not _OF_CALENDARS.isdisjoint(abilities):
            raise FieldInvalid.of("abilities", "must be of mail: a person's own tenant has the shared calendars")
        account, token = await self._tried(owner, app, wanted.address)
        try:
            return await self._stored(owner, account, token, wanted, abilities)
        except asyncpg.UniqueViolationError:
            # Two calls connected the same mailbox at once. The other one was first, so this one finds its tenant.
            return await self._stored(owner, account, token, wanted, abilities)

    async def _owner(self, tenant_id: str) -> tuple[TenantRow, ConsentingApp]:
        async with db.connection(self.pool) as connection:
            owner = await get_tenant(connection, tenant_id, None)
        app = self.apps.get(owner.provider)
        if app is None or owner.directory_id is not None or owner.owner_tenant_id is not None:
            raise SharedMailboxNotOffered(subject=tenant_id, metadata={"tenant_id": tenant_id})
        require_eligible(owner)
        return owner, app

    async def _tried(self, owner: TenantRow, app: ConsentingApp, address: str) -> tuple[Account, TokenResponse]:
        loan = await self.lender.borrow(owner.tenant_id, frozenset({ACTIVE}), _MINIMUM_SECONDS)
        try:
            account = await app.user_by_address(loan.access_token, address)
            await app.check_mailbox(loan.access_token, account.user_id)
        except TokenRefused as exc:
            raise TenantNeedsReauthorization(
                sentence(exc.cause), subject=owner.tenant_id, metadata={"tenant_id": owner.tenant_id}
            ) from exc
        if account.user_id == owner.user_id.lower():
            raise FieldInvalid.of("address", "must be of another mailbox than the tenant's own")
        scopes = scopes_in_shared(MS365, loan.scopes)
        return account, TokenResponse(loan.access_token, None, scopes, loan.expires_at)

    async def _stored(
        self,
        owner: TenantRow,
        account: Account,
        token: TokenResponse,
        wanted: WantedMailbox,
        abilities: tuple[str, ...],
    ) -> TenantRow:
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            # The owner stays connected until the tenant is stored; a disconnect finds it then.
            require_eligible(await get_tenant(connection, owner.tenant_id, None, lock=True))
            external_account = f"{owner.external_tenant_id}.{account.user_id}"
            found = await find_account(connection, owner.provider, external_account)
            _require_shared(found)
            asked = abilities_to_request(abilities, found)
            _require_enough(asked, token)
            tenant_id = new_id() if found is None else found.tenant_id
            values = _values(owner, account, wanted, asked, now, found)
            if found is None:
                first = {"tenant_id": tenant_id, "provider": owner.provider, "external_account": external_account}
                await insert_tenant(connection, values | first)
            key = await self.admission.data_key(connection, tenant_id)
            sealed = self.admission.cipher.sealed(key, token, Secret(_NO_REFRESH_TOKEN), now)
            await tokens.put_tokens(connection, tenant_id, sealed, DELEGATED)
            if found is None:
                tenant = await changed(connection, tenant_id, "", now)
            else:
                tenant = await change_tenant(connection, found, now, values, is_reconnected=True)
            facts = {"owner_tenant_id": owner.tenant_id, **access_facts(tenant)}
            action = "tenant.connect" if found is None else "tenant.reconnect"
            await audit.append(connection, audit.Entry(actor(), action, now, tenant_id=tenant_id, detail=facts))
        return tenant


def _require_shared(found: TenantRow | None) -> None:
    if found is None:
        return
    require_token_type(found, DELEGATED)
    if found.owner_tenant_id is None and found.status != DISCONNECTED:
        raise MailboxConnectedOtherwise(subject=found.tenant_id, metadata={"tenant_id": found.tenant_id})


def _require_enough(abilities: tuple[str, ...], token: TokenResponse) -> None:
    if granted_abilities(MS365, abilities, token.scopes):
        return
    named = " ".join(f"{scope}.Shared" for scope in lacking_scopes_of_all(MS365, abilities, token.scopes))
    raise ScopeNotGranted(
        f"The account has not granted: {named}. Set MAILMESH_MS365_SHARED_MAILBOXES, and connect the account again.",
        metadata={"scopes": named},
    )


def _values(
    owner: TenantRow,
    account: Account,
    wanted: WantedMailbox,
    abilities: tuple[str, ...],
    now: datetime,
    found: TenantRow | None,
) -> dict[str, object]:
    of_account = {"address": account.address, "owner_tenant_id": owner.tenant_id, "directory_id": None}
    if found is None:
        first = first_values(account, wanted.display_name, abilities, now)
        return {**first, **of_account, "external_tenant_id": owner.external_tenant_id, "user_id": account.user_id}
    named = {"display_name": wanted.display_name} if wanted.display_name else {}
    return {**renewed_values(abilities, now), **of_account, **named}
