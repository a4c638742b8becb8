"""Lending a token to a service that is allowed to have one."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
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
    TenantNotFound,
)
from services.token_vault.grouped import Grouped
from services.token_vault.issuers.issuer import Issuer
from services.token_vault.metrics import TOKENS_ISSUED
from services.token_vault.store import audit
from services.token_vault.store.audit import Entry
from services.token_vault.store.credentials import Credential, append_unchanged, read_many
from services.token_vault.store.tenants import ACTIVE, DISCONNECTING, TenantRow
from services.token_vault.tokens.broken_seals import report_broken_seal
from services.token_vault.tokens.eligibility import require_standing
from services.token_vault.tokens.refresh import Refresher, is_newest
from services.token_vault.tokens.token_cipher import Custody

DEFAULT_SECONDS = 300
MAXIMUM_SECONDS = 1800
RELEASER = "ingest"
"""Who deletes subscriptions, and needs tokens for it while a tenant is being disconnected."""
_GROUP_SIZE = 200
_PENDING = 5000
_REMEMBERED = 10_000
_LANES = 2
_GATHER_SECONDS = 0.003


class CredentialReader:
    """Reads credentials as they are now, for all who ask at the same time by one statement.

    It remembers what it read, sealed as it is, so that a loan can be decided by it and then be checked and written down
    by one statement.

    Args:
        pool: Connections of the hot path.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._grouped: Grouped[str, Credential | None] = Grouped(
            "credentials", self._read, _GROUP_SIZE, _PENDING, _LANES
        )
        self._appending: Grouped[tuple[Entry, str], bool] = Grouped(
            "loans", self._append, _GROUP_SIZE, _PENDING, gather_seconds=_GATHER_SECONDS
        )
        self._remembered: OrderedDict[str, Credential] = OrderedDict()

    def remembered(self, tenant_id: str) -> Credential | None:
        """What was read last about a tenant. It may have changed since."""
        return self._remembered.get(tenant_id)

    async def append_unchanged(self, entry: Entry, stamp: str) -> bool:
        """Appends an entry to the audit log if the tenant's rows are still those of a credential.

        Returns:
            True when it is committed; False when they have changed.
        """
        return await self._appending.do((entry, stamp))

    async def read(self, tenant_id: str) -> Credential:
        """Reads one.

        Raises:
            TenantNotFound: There is no such tenant.
            StoreUnavailable: The database did not answer.
        """
        credential = await self._grouped.do(tenant_id)
        if credential is None:
            raise TenantNotFound.of(tenant_id)
        return credential

    async def _read(self, tenant_ids: Sequence[str]) -> Sequence[Credential | None]:
        async with db.connection(self._pool) as connection:
            found = await read_many(connection, tenant_ids)
        self._remember(found)
        return [found.get(tenant_id) for tenant_id in tenant_ids]

    async def _append(self, loans: Sequence[tuple[Entry, str]]) -> Sequence[bool]:
        async with db.connection(self._pool) as connection:
            appended = await append_unchanged(connection, loans)
        return [entry.audit_entry_id in appended for entry, _ in loans]

    def _remember(self, found: Mapping[str, Credential]) -> None:
        self._remembered.update(found)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)


@dataclass(frozen=True)
class Wanted:
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
        custody: Opens them.
        audit_log: Where each loan and refusal is written.
        issuers: By provider.
        clock: The time.
    """

    def __init__(
        self,
        pool: db.Pool,
        reader: CredentialReader,
        refresher: Refresher,
        custody: Custody,
        audit_log: AuditLog,
        issuers: dict[str, Issuer],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._refresher = refresher
        self._custody = custody
        self._audit_log = audit_log
        self._issuers = issuers
        self._clock = clock

    async def issue(self, wanted: Wanted) -> Loan:
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
        wanted = Wanted(tenant_id, "token-vault", minimum_seconds, rejected_digest=digest)
        return await self._loan(wanted, statuses)

    async def _known_loan(self, wanted: Wanted) -> Loan | None:
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

    async def _loan(self, wanted: Wanted, statuses: frozenset[str] | None = None) -> Loan:
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
        token, tenant = self._custody.access_token(credential), credential.tenant
        assert tenant.expires_at is not None  # noqa: S101 - it has tokens, or the custody had raised
        return Loan(token, tenant.expires_at, tenant, tenant.scopes or ())

    def _check(self, credential: Credential, wanted: Wanted, allowed: frozenset[str]) -> None:
        require_standing(credential.tenant, allowed)
        if not wanted.scopes:
            return
        issuer = self._issuers.get(credential.tenant.provider)
        if issuer is None:
            raise ProviderUnknown(metadata={"provider": credential.tenant.provider})
        missing = issuer.missing_scopes(credential.tenant.scopes or (), wanted.scopes)
        if missing:
            raise ScopeNotGranted(subject=wanted.tenant_id, metadata={"scopes": " ".join(missing)})

    def _suffices(self, credential: Credential, wanted: Wanted) -> bool:
        expires_at, now = credential.tenant.expires_at, self._clock.now()
        if expires_at is None or expires_at <= now:
            return False
        # The newest token is as good as it gets, however short the provider's tokens last.
        if expires_at < now + timedelta(seconds=wanted.minimum_seconds) and not is_newest(credential, now):
            return False
        if not wanted.rejected_digest:
            return True
        digest = hashlib.sha256(self._custody.access_token(credential).reveal().encode()).hexdigest()
        return not hmac.compare_digest(digest, wanted.rejected_digest.lower())

    async def _note(self, wanted: Wanted, outcome: str) -> None:
        TOKENS_ISSUED.labels(wanted.caller, outcome.lower()).inc()
        await self._audit_log.append(self._entry(wanted, outcome))

    def _entry(self, wanted: Wanted, outcome: str) -> Entry:
        detail = {"scopes": " ".join(wanted.scopes)} if wanted.scopes else {}
        if wanted.rejected_digest:
            detail["after_rejection"] = "true"
        return Entry(f"mesh:{wanted.caller}", "token.issue", self._clock.now(), outcome, wanted.tenant_id, detail)


def _allowed(caller: str) -> frozenset[str]:
    return frozenset({ACTIVE, DISCONNECTING}) if caller == RELEASER else frozenset({ACTIVE})
