"""Examine an account at its provider: identity, scopes, and access to the mailbox."""

import time
from dataclasses import dataclass, replace
from datetime import datetime

from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.errors import (
    MailboxMismatch,
    MailboxUnavailable,
    ProviderUnknown,
    ScopeNotGranted,
    TenantNeedsReauthorization,
)
from services.token_vault.issuers.issuer import TOKEN_REJECTED, Account, GrantError, Issuer
from services.token_vault.store.tenants import ACTIVE, ERROR, NEEDS_REAUTHORIZATION, TenantRow
from services.token_vault.tokens.grant_state import sentence
from services.token_vault.tokens.issue import Lender

_MINIMUM_SECONDS = 60
_CODES = {"FAILED_PRECONDITION", "DATA_LOSS"}
"""Codes of failures that concern the tenant and not the moment: they become findings instead of exceptions."""


@dataclass(frozen=True)
class Finding:
    """The result of an examination.

    Args:
        reason: The first failure, as the catalogue names it; empty for a healthy account.
        detail: A sentence that a person can act on; empty for a healthy account.
        address: The address at the provider; empty without an answer.
        missing_scopes: Required scopes that were not granted.
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

    @property
    def is_healthy(self) -> bool:
        """Whether the account is healthy."""
        return not self.reason


class Examiner:
    """Examines tenants, and changes none of them itself.

    Args:
        lender: Lends the token.
        issuers: By provider.
        clock: The time.
    """

    def __init__(self, lender: Lender, issuers: dict[str, Issuer], clock: Clock) -> None:
        self._lender = lender
        self._issuers = issuers
        self._clock = clock

    async def examine(self, tenant: TenantRow) -> Finding:
        """Examine a tenant.

        Raises:
            ProviderUnavailable, ProviderThrottled: The provider gave no answer.
            StoreUnavailable: The database is away.
        """
        issuer = self._issuers.get(tenant.provider)
        if issuer is None:
            raise ProviderUnknown(metadata={"provider": tenant.provider})
        missing = issuer.missing_scopes(tenant.scopes or ())
        try:
            if tenant.status in {ACTIVE, ERROR, NEEDS_REAUTHORIZATION}:
                await self._lender.retry_refused(tenant.tenant_id)
            token, account, milliseconds = await self._identified(tenant.tenant_id, issuer)
            error = _difference(tenant, account) or _missing(missing) or await _mailbox(issuer, token)
        except GrantError as exc:
            error = TenantNeedsReauthorization(sentence(exc.cause), metadata={"detail": exc.cause})
            return self._found(error, "", missing)
        except MeshError as exc:
            if exc.code not in _CODES:
                raise
            return self._found(exc, "", missing)
        found = self._found(error, account.address, missing, milliseconds)
        return replace(found, is_same_account=account.user_id.lower() == tenant.user_id.lower())

    async def _identified(self, tenant_id: str, issuer: Issuer) -> tuple[Secret, Account, int]:
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

    def _found(self, error: MeshError | None, address: str, missing: tuple[str, ...], milliseconds: int = 0) -> Finding:
        reason, detail = (error.reason, error.message) if error else ("", "")
        return Finding(reason, detail, address, missing, self._clock.now(), milliseconds)


async def _asked(issuer: Issuer, token: Secret) -> tuple[Secret, Account, int]:
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


async def _mailbox(issuer: Issuer, token: Secret) -> MeshError | None:
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
