"""Refresh a token once, for any number of callers in any number of processes.

In a process, all callers for one tenant share one task. Between processes, a claim on the row decides: a short
compare-and-swap makes it, and no connection is held while the provider answers. The processes without the claim poll
the row until it changes. A refreshed token is committed before any caller gets it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.deadlines import set_deadline
from services.meshkit.errors import MeshError
from services.providers.abilities import scopes_in_shared, scopes_to_keep
from services.token_vault.errors import (
    AppCredentialMissing,
    InstallationMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
)
from services.token_vault.issuers.issuer import Account, AppIssuer, GrantError, Issuer, PassingRefusal, TokenResponse
from services.token_vault.issuers.refusals import OWNER_UNAVAILABLE, PASSING_CAUSES
from services.token_vault.metrics import REFRESH_SECONDS, REFRESHES
from services.token_vault.store import audit, tokens
from services.token_vault.store.credentials import Credential, SealedTokens
from services.token_vault.store.tenants import get_tenant
from services.token_vault.tokens import grant_state
from services.token_vault.tokens.eligibility import require_eligible
from services.token_vault.tokens.refresh_outcomes import RefreshOutcomes
from services.token_vault.tokens.token_cipher import TokenCipher

Read = Callable[[str], Awaitable[Credential]]
Check = Callable[[Credential], None]
"""Raises when the credential must not be used."""
IsGood = Callable[[Credential], bool]

_REST = timedelta(seconds=10)
"""A token from a moment ago is not refreshed again: its age is not the problem."""
_OWNERS_LEAST = timedelta(minutes=5)
"""How long the owner's token of a shared mailbox must still last, or a new one is fetched."""
_OF_OWNER = {"FAILED_PRECONDITION", "NOT_FOUND", "DATA_LOSS"}
"""Codes of failures that concern the owner and not the moment."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.03, 0.3
_REMEMBERED: Mapping[str, type[MeshError]] = {
    error.reason: error
    for error in (ProviderUnavailable, ProviderThrottled, InstallationMisconfigured, AppCredentialMissing)
}


@dataclass(frozen=True)
class RefreshBounds:
    """Time limits of a refresh.

    Args:
        lease: How long a claim holds: longer than the provider may take. A process that dies delays others this long.
    """

    lease: timedelta


class Refresher:
    """Gets fresh tokens.

    Args:
        pool: Connections to the database.
        read: Reads a current credential.
        cipher: Opens and seals tokens.
        issuers: By provider.
        apps: The app's own access to organisations, by provider.
        clock: The time.
        process_id: Owner of the claims.
        bounds: Time limits.
    """

    def __init__(
        self,
        pool: db.Pool,
        read: Read,
        cipher: TokenCipher,
        issuers: Mapping[str, Issuer],
        apps: Mapping[str, AppIssuer],
        clock: Clock,
        process_id: str,
        bounds: RefreshBounds,
    ) -> None:
        self._pool = pool
        self._read = read
        self._cipher = cipher
        self._issuers = issuers
        self._apps = apps
        self._clock = clock
        self._process_id = process_id
        self._bounds = bounds
        self._outcomes = RefreshOutcomes(pool, cipher, clock, process_id)
        self._running: dict[str, asyncio.Task[None]] = {}

    async def fresh(self, tenant_id: str, check: Check, is_good: IsGood) -> Credential:
        """Return a credential with a sufficient token, and refresh the token first if necessary.

        Args:
            tenant_id: The tenant.
            check: Raises for a tenant that must not be served; called again after each wait.
            is_good: Tells whether the current token suffices.

        Raises:
            TenantNeedsReauthorization: The grant is broken, and the current token does not suffice.
            MeshError: The failure of `check`, or a transient failure of the provider; nothing has changed then.
        """
        while True:
            credential = await self._read(tenant_id)
            check(credential)
            if is_good(credential):
                return credential
            self._refuse_newest(credential)
            if credential.tenant.grant_fault:
                # `check` may serve a tenant that is being disconnected, whose status a broken grant does not change.
                raise grant_state.refused(credential.tenant)
            await asyncio.shield(self._task(tenant_id, lambda: self._refresh(credential)))  # noqa: B023 - started at once

    async def retry_refused(self, tenant_id: str) -> None:
        """Try the refresh token once more if the provider refused it at the last attempt, whatever the pause.

        Raises:
            TenantNeedsReauthorization, TenantInError: The provider refuses it still.
            MeshError: A failure that says nothing about the grant; nothing has changed then.
        """
        credential = await self._read(tenant_id)
        if not grant_state.is_refused(credential.tenant) or credential.tokens is None:
            return
        sealed = credential.tokens
        await asyncio.shield(self._task(tenant_id, lambda: self._claimed_first(credential, sealed)))
        tenant = (await self._read(tenant_id)).tenant
        if grant_state.is_refused(tenant):
            raise grant_state.refused(tenant)

    async def finish(self, credential: Credential) -> None:
        """Finish a refresh that this process has claimed already.

        Raises:
            MeshError: A transient failure; it is recorded with the end of the claim.
        """
        tenant_id = credential.tenant.tenant_id
        await asyncio.shield(self._task(tenant_id, lambda: self._claimed(credential)))

    def _task(self, tenant_id: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        running = self._running.get(tenant_id)
        if running is None:
            running = asyncio.create_task(self._detached(work), name="refresh")
            self._running[tenant_id] = running
            running.add_done_callback(lambda task: self._done(tenant_id, task))
        return running

    def _done(self, tenant_id: str, task: asyncio.Task[None]) -> None:
        del self._running[tenant_id]
        if not task.cancelled():
            task.exception()  # the callers that wait get it; without any, it needs no handling

    async def _detached(self, work: Callable[[], Awaitable[None]]) -> None:
        """Many callers may wait for the task, so the deadline of the first one does not apply."""
        set_deadline(self._bounds.lease.total_seconds())
        await work()

    def _refuse_newest(self, credential: Credential) -> None:
        if is_newest(credential, self._clock.now()):
            raise ProviderUnavailable(
                "The provider's newest token does not suffice.",
                metadata={"provider": credential.tenant.provider},
                retry_after=_REST,
            )

    async def _refresh(self, credential: Credential) -> None:
        now, sealed = self._clock.now(), credential.tokens
        if sealed is None:
            self._cipher.access_token(credential)  # raises the fitting failure
            return
        await self._refuse_early(credential, sealed, now)
        await self._claimed_first(credential, sealed)

    async def _claimed_first(self, credential: Credential, sealed: SealedTokens) -> None:
        """Claim the refresh and finish it, or wait for the process that has claimed it."""
        now = self._clock.now()
        if _is_claimed(sealed, now) or not await self._claim(credential.tenant.tenant_id, sealed, now):
            await self._wait_for_other(credential.tenant.tenant_id, sealed.version)
            return
        await self._claimed(credential)

    async def _refuse_early(self, credential: Credential, sealed: SealedTokens, now: datetime) -> None:
        """Send the provider no request for a while after a failure."""
        tenant, not_before = credential.tenant, sealed.refresh_not_before
        if not_before is None or not_before <= now:
            return
        if tenant.last_refresh_error in PASSING_CAUSES:
            await self._stop(tenant.tenant_id, tenant.last_refresh_error, not_before)
            raise grant_state.refused(tenant)
        error = _REMEMBERED.get(tenant.last_refresh_error or "", ProviderUnavailable)
        raise error(metadata={"provider": tenant.provider}, retry_after=not_before - now)

    async def _stop(self, tenant_id: str, cause: str, retry_at: datetime) -> None:
        """Stop a tenant whose refused token a caller needs, unless the provider has honoured it meanwhile."""
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, None, lock=True)
            if tenant.last_refresh_error == cause:
                await grant_state.stop_refused(connection, tenant, cause, retry_at, self._clock.now())

    async def _claim(self, tenant_id: str, sealed: SealedTokens, now: datetime) -> bool:
        async with db.transaction(self._pool) as connection:
            return await tokens.claim(connection, tenant_id, sealed.version, self._process_id, now, self._bounds.lease)

    async def _wait_for_other(self, tenant_id: str, version: int) -> None:
        pause = _FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            sealed = (await self._read(tenant_id)).tokens
            if sealed is None or sealed.version != version or not _is_claimed(sealed, self._clock.now()):
                return

    async def _claimed(self, credential: Credential) -> None:
        """Refresh at the provider. This process holds the claim."""
        tenant = credential.tenant
        try:
            response = await self._asked(credential)
            await self._outcomes.store(credential, response)
            REFRESHES.labels(tenant.provider, audit.OK).inc()
        except GrantError as exc:
            REFRESHES.labels(tenant.provider, "grant_broken").inc()
            await self._outcomes.broken(credential, exc)
        except PassingRefusal as exc:
            REFRESHES.labels(tenant.provider, "refused").inc()
            await self._outcomes.refused(credential, exc)
        except MeshError as exc:
            REFRESHES.labels(tenant.provider, exc.reason.lower()).inc()
            await self._outcomes.failed(credential, exc)
            raise

    async def _asked(self, credential: Credential) -> TokenResponse:
        if credential.tenant.directory_id is not None:
            return await self._app_token(credential)
        if credential.tenant.owner_tenant_id is not None:
            return await self._owners_token(credential, credential.tenant.owner_tenant_id)
        return await self._refreshed(credential)

    async def _refreshed(self, credential: Credential) -> TokenResponse:
        tenant, issuer = credential.tenant, self._issuers.get(credential.tenant.provider)
        if issuer is None:
            raise InstallationMisconfigured(metadata={"provider": tenant.provider, "detail": "no settings"})
        refresh_token = self._cipher.refresh_token(credential)
        with REFRESH_SECONDS.labels(tenant.provider).time():
            scopes = scopes_to_keep(tenant.provider, tenant.requested_abilities, tenant.scopes or ())
            return await issuer.refresh(refresh_token, scopes)

    async def _app_token(self, credential: Credential) -> TokenResponse:
        """Get the app's token for the tenant's own organisation; the database ties the one to the other."""
        tenant, app = credential.tenant, self._apps.get(credential.tenant.provider)
        if app is None or tenant.directory_id is None:
            raise InstallationMisconfigured(metadata={"provider": tenant.provider, "detail": "no settings"})
        with REFRESH_SECONDS.labels(tenant.provider).time():
            account = Account(tenant.user_id, tenant.address, "")
            return await app.mailbox_token(tenant.directory_id, account, tenant.requested_abilities)

    async def _owners_token(self, credential: Credential, owner_id: str) -> TokenResponse:
        """Get the owner's token for a shared mailbox: another one than before, since that one did not suffice."""
        before = self._cipher.access_token(credential)

        def is_other(owner: Credential) -> bool:
            now = self._clock.now()
            if is_newest(owner, now):
                return True
            lasts = owner.tenant.expires_at is not None and owner.tenant.expires_at > now + _OWNERS_LEAST
            return lasts and self._cipher.access_token(owner) != before

        try:
            owner = await self.fresh(owner_id, lambda found: require_eligible(found.tenant), is_other)
        except MeshError as exc:
            if exc.code in _OF_OWNER:
                raise PassingRefusal(OWNER_UNAVAILABLE, exc.reason.lower()) from exc
            raise
        assert owner.tenant.expires_at is not None  # noqa: S101 - without tokens, the cipher raises
        scopes = scopes_in_shared(owner.tenant.provider, owner.tenant.scopes or ())
        return TokenResponse(self._cipher.access_token(owner), None, scopes, owner.tenant.expires_at)


def is_newest(credential: Credential, now: datetime) -> bool:
    """Tell whether a token is from a moment ago, so that another one would be no better."""
    refreshed_at = credential.tenant.last_refreshed_at
    return refreshed_at is not None and timedelta() <= now - refreshed_at < _REST


def _is_claimed(sealed: SealedTokens, now: datetime) -> bool:
    return sealed.refresh_owner is not None and sealed.refresh_until is not None and sealed.refresh_until > now
