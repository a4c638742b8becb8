"""Examine an account at its provider: identity, scopes, and access to the mailbox."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Protocol

from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.providers.abilities import OF_MAIL, lacking_scopes
from services.token_vault.accounts.errors import MailboxMismatch
from services.token_vault.errors import MailboxUnavailable, ProviderUnknown, ScopeNotGranted
from services.token_vault.issuers.issuer import TOKEN_REJECTED, Account, AppIssuer, GrantError, Issuer
from services.token_vault.store.tenants import ACTIVE, ERROR, NEEDS_REAUTHORIZATION, TenantRow
from services.token_vault.tokens.errors import TenantNeedsReauthorization
from services.token_vault.tokens.grant_state import sentence
from services.token_vault.tokens.issue import Lender

_MINIMUM_SECONDS = 60
_CODES = {"FAILED_PRECONDITION", "DATA_LOSS"}
"""Codes of failures that concern the tenant and not the moment: they become findings instead of exceptions."""


class _Examined(Protocol):
    """The calls of an examination; a person's `Issuer` has them."""

    def missing_scopes(self, granted: Iterable[str], needed: Iterable[str] | None = None) -> tuple[str, ...]: ...

    async def who_is(self, access_token: Secret) -> Account: ...

    async def check_mailbox(self, access_token: Secret) -> None: ...


@dataclass(frozen=True)
class _AppMailbox:
    """The same calls with the app's token or the owner's, which does not name the account: the tenant does."""

    app: AppIssuer
    user_id: str

    def missing_scopes(self, granted: Iterable[str], needed: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return none: no scope is asked of every organisation."""
        del granted, needed
        return ()

    async def who_is(self, access_token: Secret) -> Account:
        return await self.app.who_is(access_token, self.user_id)

    async def check_mailbox(self, access_token: Secret) -> None:
        await self.app.check_mailbox(access_token, self.user_id)


@dataclass(frozen=True)
class Finding:
    """The result of an examination.

    Args:
        reason: The first failure, as the catalogue names it; empty for a healthy account.
        detail: A sentence that a person can act on; empty for a healthy account.
        address: The address at the provider; empty without an answer.
        missing_scopes: Scopes of every account, and of the missing abilities, that were not granted.
        missing_abilities: Requested abilities that were not granted, each with the scopes that it lacks.
        tested_at: Time of the examination.
        latency_milliseconds: Time that the provider took to identify the account.
        is_same_account: The provider answered, and for the account on record.
    """

    reason: str
    detail: str
    address: str
    missing_scopes: tuple[str, ...]
    tested_at: datetime
    latency_milliseconds: int = 0
    is_same_account: bool = False
    missing_abilities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        """Whether the account is healthy."""
        return not self.reason


class Examiner:
    """Examines tenants, and changes none of them itself.

    Args:
        lender: Lends the token.
        issuers: By provider.
        apps: The app's own access to organisations, by provider.
        clock: The time.
    """

    def __init__(self, lender: Lender, issuers: dict[str, Issuer], apps: dict[str, AppIssuer], clock: Clock) -> None:
        self._lender = lender
        self._issuers = issuers
        self._apps = apps
        self._clock = clock

    async def examine(self, tenant: TenantRow) -> Finding:
        """Examine a tenant.

        Raises:
            ProviderUnavailable, ProviderThrottled: The provider gave no answer.
            StoreUnavailable: The database is away.
        """
        issuer = self._examined(tenant)
        lacking = _lacking(tenant)
        missing = issuer.missing_scopes(tenant.scopes or ())
        named = tuple(dict.fromkeys((*missing, *chain(*lacking.values()))))
        # An ability that was not granted is no fault while another one is.
        found = await self._tried(tenant, issuer, missing if tenant.granted_abilities else named)
        return replace(found, missing_scopes=named, missing_abilities=lacking)

    def _examined(self, tenant: TenantRow) -> _Examined:
        is_of_others = tenant.directory_id is not None or tenant.owner_tenant_id is not None
        app = self._apps.get(tenant.provider) if is_of_others else None
        issuer = self._issuers.get(tenant.provider) if app is None else _AppMailbox(app, tenant.user_id)
        if issuer is None:
            raise ProviderUnknown(metadata={"provider": tenant.provider})
        return issuer

    async def _tried(self, tenant: TenantRow, issuer: _Examined, missing: tuple[str, ...]) -> Finding:
        try:
            if tenant.status in {ACTIVE, ERROR, NEEDS_REAUTHORIZATION}:
                await self._lender.retry_refused(tenant.tenant_id)
            token, account, milliseconds = await self._identified(tenant.tenant_id, issuer)
            error = _difference(tenant, account) or _missing(missing) or await _mailbox(tenant, issuer, token)
        except GrantError as exc:
            error = TenantNeedsReauthorization(sentence(exc.cause), metadata={"detail": exc.cause})
            return self._found(error, "")
        except MeshError as exc:
            if exc.code not in _CODES:
                raise
            return self._found(exc, "")
        found = self._found(error, account.address, milliseconds)
        return replace(found, is_same_account=account.user_id.lower() == tenant.user_id.lower())

    async def _identified(self, tenant_id: str, issuer: _Examined) -> tuple[Secret, Account, int]:
        """Borrow a token and ask for its account. Return the token, the account, and the milliseconds that it took.

        A token that the provider refuses is exchanged for another, once. If the grant is broken, this exchange finds
        out, and the tenant's status changes accordingly.
        """
        token = await self._borrow(tenant_id)
        try:
            return await _asked(issuer, token)
        except GrantError as refused:
            if refused.cause != TOKEN_REJECTED:
                raise
            try:
                token = await self._borrow(tenant_id, rejected=token)
            except MeshError as exc:
                # A token from a moment ago is not exchanged, nor is any token while the provider is down.
                if exc.code == "UNAVAILABLE":
                    raise refused from exc
                raise
        return await _asked(issuer, token)

    async def _borrow(self, tenant_id: str, rejected: Secret | None = None) -> Secret:
        statuses = frozenset({ACTIVE, ERROR})
        return (await self._lender.borrow(tenant_id, statuses, _MINIMUM_SECONDS, rejected)).access_token

    def _found(self, error: MeshError | None, address: str, milliseconds: int = 0) -> Finding:
        reason, detail = (error.reason, error.message) if error else ("", "")
        return Finding(reason, detail, address, (), self._clock.now(), milliseconds)


async def _asked(issuer: _Examined, token: Secret) -> tuple[Secret, Account, int]:
    started = time.monotonic()
    account = await issuer.who_is(token)
    return token, account, round((time.monotonic() - started) * 1000)


def _difference(tenant: TenantRow, account: Account) -> MeshError | None:
    if account.user_id.lower() != tenant.user_id.lower():
        return MailboxMismatch("The provider answers for another account. Connect the tenant's own account again.")
    if account.address and account.address != tenant.address:
        return MailboxMismatch(
            f"The record has {tenant.address or 'no address'}, the provider has {account.address}."
            " It is the same account under another address; the record is updated."
        )
    return None


def _missing(missing: tuple[str, ...]) -> MeshError | None:
    if not missing:
        return None
    named = " ".join(missing)
    return ScopeNotGranted(
        f"Not granted: {named}. Connect again and leave every box ticked.", metadata={"scopes": named}
    )


def _lacking(tenant: TenantRow) -> dict[str, tuple[str, ...]]:
    granted = tenant.scopes or ()
    lacking = {one: lacking_scopes(tenant.provider, one, granted) for one in tenant.missing_abilities}
    if tenant.directory_id is None:
        return lacking
    # Microsoft's permissions of apps have no form for shared mailboxes.
    return {
        one: tuple(dict.fromkeys(scope.removesuffix(".Shared") for scope in named)) for one, named in lacking.items()
    }


async def _mailbox(tenant: TenantRow, issuer: _Examined, token: Secret) -> MeshError | None:
    if OF_MAIL.isdisjoint(tenant.granted_abilities):
        return None
    try:
        await issuer.check_mailbox(token)
    except MailboxUnavailable as exc:
        return MailboxUnavailable(
            "The provider's API reaches no mailbox of this account. Give it a licence with a mailbox.",
            metadata=exc.metadata,
        )
    except ScopeNotGranted as exc:
        return ScopeNotGranted("The provider does not let the app read this mailbox.", metadata=exc.metadata)
    return None
