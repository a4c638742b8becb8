"""Issue tokens: lend one to a service that may have it, and record every loan in the audit log."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.abilities import require_granted
from services.token_vault.audit import AuditLog
from services.token_vault.errors import ProviderUnknown, ScopeNotGranted
from services.token_vault.issuers.issuer import Issuer
from services.token_vault.keys.errors import SealBroken
from services.token_vault.metrics import TOKENS_ISSUED
from services.token_vault.store import audit
from services.token_vault.store.audit import Entry
from services.token_vault.store.credentials import Credential
from services.token_vault.store.tenants import ACTIVE, DISCONNECTING, TenantRow
from services.token_vault.tokens.broken_seals import report_broken_seal
from services.token_vault.tokens.credential_reader import CredentialReader
from services.token_vault.tokens.eligibility import require_eligible
from services.token_vault.tokens.errors import MinimumSecondsTooLarge
from services.token_vault.tokens.refresh import Refresher, is_newest
from services.token_vault.tokens.token_cipher import TokenCipher

DEFAULT_SECONDS = 300
MAXIMUM_SECONDS = 1800
RELEASER = "ingest"
"""The service that deletes subscriptions. It needs tokens while a tenant is being disconnected."""


@dataclass(frozen=True)
class TokenRequest:
    """A service's request for a token.

    Args:
        tenant_id: The tenant.
        caller: Mesh identity of the service.
        minimum_seconds: How long the token must still last.
        scopes: Scopes that the token must have.
        rejected_digest: Hexadecimal SHA-256 of a token that the provider refused; that token is not lent again.
        ability: The ability that the tenant must have granted; empty for none, as TokenVault itself needs.
    """

    tenant_id: str
    caller: str
    minimum_seconds: int = DEFAULT_SECONDS
    scopes: tuple[str, ...] = ()
    rejected_digest: str = ""
    ability: str = ""


@dataclass(frozen=True)
class Loan:
    """A lent token."""

    access_token: Secret
    expires_at: datetime
    tenant: TenantRow
    scopes: tuple[str, ...] = field(default=())


class Lender:
    """Lends tokens, and records each loan before the token leaves.

    Args:
        pool: For recording a broken credential.
        reader: Remembers credentials.
        refresher: Gets fresh tokens.
        cipher: Opens tokens.
        audit_log: Records each loan and refusal.
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

    async def issue(self, request: TokenRequest) -> Loan:
        """Lend a token.

        Raises:
            MeshError: As the contract lists them for `IssueToken`. Safe to call again.
        """
        if request.minimum_seconds > MAXIMUM_SECONDS:
            raise MinimumSecondsTooLarge(
                metadata={"minimum_seconds": str(request.minimum_seconds), "maximum": str(MAXIMUM_SECONDS)}
            )
        try:
            loan = await self._known_loan(request)
            if loan is not None:
                return loan
            loan = await self._loan(request)
        except MeshError as exc:
            await self._note(request, exc.reason)
            raise
        await self._note(request, audit.OK)
        return loan

    async def borrow(
        self, tenant_id: str, statuses: frozenset[str], minimum_seconds: int, rejected: Secret | None = None
    ) -> Loan:
        """Lend a token, other than the rejected one, to TokenVault itself, for a tenant with one of these statuses."""
        digest = hashlib.sha256(rejected.reveal().encode()).hexdigest() if rejected else ""
        request = TokenRequest(tenant_id, "token-vault", minimum_seconds, rejected_digest=digest)
        return await self._loan(request, statuses)

    async def retry_refused(self, tenant_id: str) -> None:
        """Try a refused refresh token once more, as `Refresher.retry_refused` does.

        Raises:
            MeshError: As there, or SealBroken.
        """
        try:
            await self._refresher.retry_refused(tenant_id)
        except SealBroken:
            await report_broken_seal(self._pool, self._clock, tenant_id)
            raise

    async def _known_loan(self, request: TokenRequest) -> Loan | None:
        """Decide by the remembered credential; one statement verifies that it is unchanged and records the loan."""
        credential, allowed = self._reader.remembered(request.tenant_id), _allowed(request.caller)
        if credential is None:
            return None
        try:
            self._check(credential, request, allowed)
        except MeshError:
            return None  # the rows may have changed since: only those that are stored now refuse a loan
        if not self._suffices(credential, request):
            return None
        loan = self._opened(credential)
        is_unchanged = await self._reader.append_unchanged(self._entry(request, audit.OK), credential.stamp)
        if is_unchanged:
            TOKENS_ISSUED.labels(request.caller, audit.OK).inc()
        return loan if is_unchanged else None

    async def _loan(self, request: TokenRequest, statuses: frozenset[str] | None = None) -> Loan:
        allowed = statuses or _allowed(request.caller)
        try:
            credential = await self._refresher.fresh(
                request.tenant_id,
                lambda found: self._check(found, request, allowed),
                lambda found: self._suffices(found, request),
            )
            return self._opened(credential)
        except SealBroken:
            await report_broken_seal(self._pool, self._clock, request.tenant_id)
            raise

    def _opened(self, credential: Credential) -> Loan:
        token, tenant = self._cipher.access_token(credential), credential.tenant
        assert tenant.expires_at is not None  # noqa: S101 - without tokens, the cipher raises
        return Loan(token, tenant.expires_at, tenant, tenant.scopes or ())

    def _check(self, credential: Credential, request: TokenRequest, allowed: frozenset[str]) -> None:
        require_eligible(credential.tenant, allowed)
        # While a tenant is being disconnected, its subscriptions are deleted, whatever was granted.
        if request.ability and credential.tenant.status != DISCONNECTING:
            require_granted(credential.tenant, request.ability)
        if not request.scopes:
            return
        issuer = self._issuers.get(credential.tenant.provider)
        if issuer is None:
            raise ProviderUnknown(metadata={"provider": credential.tenant.provider})
        missing = issuer.missing_scopes(credential.tenant.scopes or (), request.scopes)
        if missing:
            raise ScopeNotGranted(subject=request.tenant_id, metadata={"scopes": " ".join(missing)})

    def _suffices(self, credential: Credential, request: TokenRequest) -> bool:
        expires_at, now = credential.tenant.expires_at, self._clock.now()
        if expires_at is None or expires_at <= now:
            return False
        # No token is better than the newest one, however short the provider's tokens last.
        if expires_at < now + timedelta(seconds=request.minimum_seconds) and not is_newest(credential, now):
            return False
        if not request.rejected_digest:
            return True
        digest = hashlib.sha256(self._cipher.access_token(credential).reveal().encode()).hexdigest()
        return not hmac.compare_digest(digest, request.rejected_digest.lower())

    async def _note(self, request: TokenRequest, outcome: str) -> None:
        TOKENS_ISSUED.labels(request.caller, outcome.lower()).inc()
        await self._audit_log.append(self._entry(request, outcome))

    def _entry(self, request: TokenRequest, outcome: str) -> Entry:
        detail = {"ability": request.ability} if request.ability else {}
        if request.scopes:
            detail["scopes"] = " ".join(request.scopes)
        if request.rejected_digest:
            detail["after_rejection"] = "true"
        return Entry(f"mesh:{request.caller}", "token.issue", self._clock.now(), outcome, request.tenant_id, detail)


def _allowed(caller: str) -> frozenset[str]:
    return frozenset({ACTIVE, DISCONNECTING}) if caller == RELEASER else frozenset({ACTIVE})
