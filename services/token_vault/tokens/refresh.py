"""Refreshing a token: once, whoever and however many ask, in however many processes.

In a process those who ask for the same tenant share one task. Between processes a claim on the row decides: it is made
by a short compare-and-swap, and no connection is held while the provider answers. Those who lost the claim look at the
row until it changes. A refreshed token is committed before anybody sees it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.deadlines import set_deadline
from services.meshkit.errors import MeshError
from services.token_vault.audit import ITSELF
from services.token_vault.errors import InstallationMisconfigured, ProviderThrottled, ProviderUnavailable
from services.token_vault.issuers.issuer import GrantError, Issuer, TokenResponse
from services.token_vault.metrics import REFRESH_SECONDS, REFRESHES
from services.token_vault.store import audit, tokens
from services.token_vault.store.credentials import Credential, SealedTokens
from services.token_vault.tokens.reauthorization import mark_grant_broken
from services.token_vault.tokens.token_cipher import TokenCipher

logger = structlog.get_logger(__name__)

Read = Callable[[str], Awaitable[Credential]]
Check = Callable[[Credential], None]
"""Raises when the credential must not be used."""
IsGood = Callable[[Credential], bool]

_REST = timedelta(seconds=10)
"""A token that was had just now is not refreshed again: what is wrong with it is not its age."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.03, 0.3
_MAX_BACKOFF_SECONDS = 60.0
_REMEMBERED: Mapping[str, type[MeshError]] = {
    error.reason: error for error in (ProviderUnavailable, ProviderThrottled, InstallationMisconfigured)
}


@dataclass(frozen=True)
class RefreshBounds:
    """How long things may take.

    Args:
        lease: How long a claim holds; longer than the provider may take. Whoever dies holds up others for so long.
    """

    lease: timedelta


class Refresher:
    """Gets fresh tokens.

    Args:
        pool: Where claims and tokens are written.
        read: Reads a credential as it is now.
        cipher: Opens and seals.
        issuers: By provider.
        clock: The time.
        process_id: Who claims.
        bounds: Time limits.
    """

    def __init__(
        self,
        pool: db.Pool,
        read: Read,
        cipher: TokenCipher,
        issuers: Mapping[str, Issuer],
        clock: Clock,
        process_id: str,
        bounds: RefreshBounds,
    ) -> None:
        self._pool = pool
        self._read = read
        self._cipher = cipher
        self._issuers = issuers
        self._clock = clock
        self._process_id = process_id
        self._bounds = bounds
        self._running: dict[str, asyncio.Task[None]] = {}

    async def fresh(self, tenant_id: str, check: Check, is_good: IsGood) -> Credential:
        """Returns a credential whose token is good, refreshing it when it must be.

        Args:
            tenant_id: Whose.
            check: Raises when the tenant is not to be served; asked again after each wait.
            is_good: Whether the token at hand will do.

        Raises:
            MeshError: What `check` says, or passing trouble of the provider; nothing was changed then.
        """
        while True:
            credential = await self._read(tenant_id)
            check(credential)
            if is_good(credential):
                return credential
            self._refuse_haste(credential)
            await asyncio.shield(self._task(tenant_id, lambda: self._refresh(credential)))  # noqa: B023 - started at once

    async def finish(self, credential: Credential) -> None:
        """Does a refresh that this process has claimed already.

        Raises:
            MeshError: Passing trouble; it is written down with the claim's end.
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
            task.exception()  # who waits gets it; when all have gone away nobody has to

    async def _detached(self, work: Callable[[], Awaitable[None]]) -> None:
        """Many may wait for it, so the deadline of who came first does not count."""
        set_deadline(self._bounds.lease.total_seconds())
        await work()

    def _refuse_haste(self, credential: Credential) -> None:
        if is_newest(credential, self._clock.now()):
            raise ProviderUnavailable(
                "The provider's newest token does not suffice.",
                metadata={"provider": credential.tenant.provider},
                retry_after=_REST,
            )

    async def _refresh(self, credential: Credential) -> None:
        now, sealed = self._clock.now(), credential.tokens
        if sealed is None:
            self._cipher.access_token(credential)  # says what is wrong
            return
        self._refuse_early(credential, sealed, now)
        if _is_claimed(sealed, now) or not await self._claim(credential.tenant.tenant_id, sealed, now):
            await self._wait_for_other(credential.tenant.tenant_id, sealed.version)
            return
        await self._claimed(credential)

    def _refuse_early(self, credential: Credential, sealed: SealedTokens, now: datetime) -> None:
        """After passing trouble the provider is left alone for a while."""
        if sealed.refresh_not_before is not None and sealed.refresh_not_before > now:
            error = _REMEMBERED.get(credential.tenant.last_refresh_error or "", ProviderUnavailable)
            raise error(metadata={"provider": credential.tenant.provider}, retry_after=sealed.refresh_not_before - now)

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
        """Refreshes. The claim is this process's."""
        tenant, issuer = credential.tenant, self._issuers.get(credential.tenant.provider)
        try:
            if issuer is None:
                raise InstallationMisconfigured(metadata={"provider": tenant.provider, "detail": "no settings"})
            refresh_token = self._cipher.refresh_token(credential)
            with REFRESH_SECONDS.labels(tenant.provider).time():
                had = await issuer.refresh(refresh_token)
            await self._store(credential, had)
            REFRESHES.labels(tenant.provider, audit.OK).inc()
        except GrantError as exc:
            REFRESHES.labels(tenant.provider, "grant_broken").inc()
            await self._broken(credential, exc)
        except MeshError as exc:
            REFRESHES.labels(tenant.provider, exc.reason.lower()).inc()
            await self._failed(credential, exc)
            raise

    async def _store(self, credential: Credential, had: TokenResponse) -> None:
        tenant_id, version = credential.tenant.tenant_id, _version(credential)
        now = self._clock.now()
        new = self._cipher.resealed(credential, had, now)
        async with db.transaction(self._pool) as connection:
            if not await tokens.store_refreshed(connection, tenant_id, version, self._process_id, new):
                logger.info("refreshed token is not needed any more", tenant_id=tenant_id)
                return
            await audit.append(
                connection,
                audit.Entry(
                    ITSELF,
                    "token.refresh",
                    now,
                    tenant_id=tenant_id,
                    detail={"rotated": str(had.refresh_token is not None).lower()},
                ),
            )

    async def _broken(self, credential: Credential, error: GrantError) -> None:
        """Believes the provider only if the grant is still the one that was asked about."""
        tenant_id, version = credential.tenant.tenant_id, _version(credential)
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            await mark_grant_broken(connection, tenant_id, version, self._process_id, error, now)

    async def _failed(self, credential: Credential, error: MeshError) -> None:
        tenant_id, sealed = credential.tenant.tenant_id, credential.tokens
        failures = (sealed.refresh_failures if sealed else 0) + 1
        now = self._clock.now()
        pause = max(
            error.retry_after or timedelta(), timedelta(seconds=min(2.0 ** (failures - 1), _MAX_BACKOFF_SECONDS))
        )
        logger.warning("refresh failed", tenant_id=tenant_id, reason=error.reason, failures=failures)
        async with db.transaction(self._pool) as connection:
            ended = await tokens.end_claim(
                connection,
                tenant_id,
                _version(credential),
                self._process_id,
                error=error.reason,
                not_before=now + pause,
                failures=failures,
            )
            if ended:
                entry = audit.Entry(ITSELF, "token.refresh", now, error.reason, tenant_id)
                await audit.append(connection, entry)


def is_newest(credential: Credential, now: datetime) -> bool:
    """Tells whether a token was had just now, so that another one would be no better."""
    had_at = credential.tenant.last_refreshed_at
    return had_at is not None and timedelta() <= now - had_at < _REST


def _version(credential: Credential) -> int:
    return credential.tokens.version if credential.tokens else 0


def _is_claimed(sealed: SealedTokens, now: datetime) -> bool:
    return sealed.refresh_owner is not None and sealed.refresh_until is not None and sealed.refresh_until > now
