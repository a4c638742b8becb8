"""Lending a token to a service that is allowed to have one."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.audit import AuditLog
from services.token_vault.errors import (
    MinimumSecondsTooLarge,
    ProviderUnknown,
    ScopeNotGranted,
    SealBroken,
)
from services.token_vault.issuers.issuer import Issuer
from services.token_vault.metrics import TOKENS_ISSUED
from services.token_vault.store import audit
from services.token_vault.store.audit import Entry
from services.token_vault.store.credentials import Credential
from services.token_vault.store.tenants import ACTIVE, DISCONNECTING, TenantRow
from services.token_vault.tokens.broken_seals import report_broken_seal
from services.token_vault.tokens.credential_reader import CredentialReader
from services.token_vault.tokens.eligibility import require_eligible
from services.token_vault.tokens.refresh import Refresher, is_newest
from services.token_vault.tokens.token_cipher import TokenCipher

DEFAULT_SECONDS = 300
MAXIMUM_SECONDS = 1800
RELEASER = "ingest"
"""Who deletes subscriptions, and needs tokens for it while a tenant is being disconnected."""


@dataclass(frozen=True)
class TokenRequest:
    """What a service asks for.

    Args:
        tenant_id: Whose token.
        caller: The mesh identity that asks.
        minimum_seconds: How long the token must still last.
        scopes: What it must be good for.
        rejected_digest: Hexadecimal SHA-256 of a token that the provider refused; that one is not given again.
    """

    tenant_id: str
    caller: str
    minimum_seconds: int = DEFAULT_SECONDS
    scopes: tuple[str, ...] = ()
    rejected_digest: str = ""


@dataclass(frozen=True)
class Loan:
    """A token that is lent."""

    access_token: Secret
    expires_at: datetime
    tenant: TenantRow
    scopes: tuple[str, ...] = field(default=())


class Lender:
    """Lends tokens and writes down each time, before the token leaves.

    Args:
        pool: For writing down that a credential is broken.
        reader: Remembers credentials.
        refresher: Gets fresh tokens.
        cipher: Opens them.
        audit_log: Where each loan and refusal is written.
        issuers: By provider.
        clock: The time.
    """

    def __init__(
        self,
        pool: db.Pool,
        reader: CredentialReader,
        refresher: Refresher,
        cipher: TokenCipher,
        audit_log: AuditLog,
        issuers: dict[str, Issuer],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._refresher = refresher
        self._cipher = cipher
        self._audit_log = audit_log
        self._issuers = issuers
        self._clock = clock

    async def issue(self, wanted: TokenRequest) -> Loan:
        """Lends a token.

        Raises:
            MeshError: As the contract lists them for `IssueToken`. Safe to call again.
        """
        if wanted.minimum_seconds > MAXIMUM_SECONDS:
            raise MinimumSecondsTooLarge(
                metadata={"minimum_seconds": str(wanted.minimum_seconds), "maximum": str(MAXIMUM_SECONDS)}
            )
        try:
            loan = await self._known_loan(wanted)
            if loan is not None:
                return loan
            loan = await self._loan(wanted)
        except MeshError as exc:
            await self._note(wanted, exc.reason)
            raise
        await self._note(wanted, audit.OK)
        return loan

    async def borrow(
        self, tenant_id: str, statuses: frozenset[str], minimum_seconds: int, rejected: Secret | None = None
    ) -> Loan:
        """Lends a token, other than the rejected one, to TokenVault itself, for a tenant of one of these statuses."""
        digest = hashlib.sha256(rejected.reveal().encode()).hexdigest() if rejected else ""
        wanted = TokenRequest(tenant_id, "token-vault", minimum_seconds, rejected_digest=digest)
        return await self._loan(wanted, statuses)

    async def _known_loan(self, wanted: TokenRequest) -> Loan | None:
        """Decides by what is remembered; one statement makes sure that it still holds and writes the loan down."""
        credential, allowed = self._reader.remembered(wanted.tenant_id), _allowed(wanted.caller)
        if credential is None or credential.tenant.status not in allowed or not self._suffices(credential, wanted):
            return None
        self._check(credential, wanted, allowed)
        loan = self._opened(credential)
        is_so = await self._reader.append_unchanged(self._entry(wanted, audit.OK), credential.stamp)
        if is_so:
            TOKENS_ISSUED.labels(wanted.caller, audit.OK).inc()
        return loan if is_so else None

    async def _loan(self, wanted: TokenRequest, statuses: frozenset[str] | None = None) -> Loan:
        allowed = statuses or _allowed(wanted.caller)
        try:
            credential = await self._refresher.fresh(
                wanted.tenant_id,
                lambda found: self._check(found, wanted, allowed),
                lambda found: self._suffices(found, wanted),
            )
            return self._opened(credential)
        except SealBroken:
            await report_broken_seal(self._pool, self._clock, wanted.tenant_id)
            raise

    def _opened(self, credential: Credential) -> Loan:
        token, tenant = self._cipher.access_token(credential), credential.tenant
        assert tenant.expires_at is not None  # noqa: S101 - it has tokens, or the custody had raised
        return Loan(token, tenant.expires_at, tenant, tenant.scopes or ())

    def _check(self, credential: Credential, wanted: TokenRequest, allowed: frozenset[str]) -> None:
        require_eligible(credential.tenant, allowed)
        if not wanted.scopes:
            return
        issuer = self._issuers.get(credential.tenant.provider)
        if issuer is None:
            raise ProviderUnknown(metadata={"provider": credential.tenant.provider})
        missing = issuer.missing_scopes(credential.tenant.scopes or (), wanted.scopes)
        if missing:
            raise ScopeNotGranted(subject=wanted.tenant_id, metadata={"scopes": " ".join(missing)})

    def _suffices(self, credential: Credential, wanted: TokenRequest) -> bool:
        expires_at, now = credential.tenant.expires_at, self._clock.now()
        if expires_at is None or expires_at <= now:
            return False
        # The newest token is as good as it gets, however short the provider's tokens last.
        if expires_at < now + timedelta(seconds=wanted.minimum_seconds) and not is_newest(credential, now):
            return False
        if not wanted.rejected_digest:
            return True
        digest = hashlib.sha256(self._cipher.access_token(credential).reveal().encode()).hexdigest()
        return not hmac.compare_digest(digest, wanted.rejected_digest.lower())

    async def _note(self, wanted: TokenRequest, outcome: str) -> None:
        TOKENS_ISSUED.labels(wanted.caller, outcome.lower()).inc()
        await self._audit_log.append(self._entry(wanted, outcome))

    def _entry(self, wanted: TokenRequest, outcome: str) -> Entry:
        detail = {"scopes": " ".join(wanted.scopes)} if wanted.scopes else {}
        if wanted.rejected_digest:
            detail["after_rejection"] = "true"
        return Entry(f"mesh:{wanted.caller}", "token.issue", self._clock.now(), outcome, wanted.tenant_id, detail)


def _allowed(caller: str) -> frozenset[str]:
    return frozenset({ACTIVE, DISCONNECTING}) if caller == RELEASER else frozenset({ACTIVE})
