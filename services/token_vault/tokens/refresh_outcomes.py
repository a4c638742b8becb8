"""The outcome of a refresh: stored with its audit entry in the transaction that ends the claim."""

from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.providers.abilities import granted_abilities
from services.token_vault.audit import ITSELF
from services.token_vault.issuers.issuer import GrantError, PassingRefusal, TokenResponse
from services.token_vault.store import audit, tokens
from services.token_vault.store.credentials import Credential
from services.token_vault.store.tenants import TenantRow, get_tenant
from services.token_vault.tokens import grant_state
from services.token_vault.tokens.token_cipher import TokenCipher

logger = structlog.get_logger(__name__)

_MAX_BACKOFF_SECONDS = 60.0
_MAX_DOUBLINGS = 10


class RefreshOutcomes:
    """Records the outcomes of refreshes that this process has claimed. Nothing changes once the claim is lost.

    Args:
        pool: Connections to the database.
        cipher: Seals tokens.
        clock: The time.
        process_id: Owner of the claims.
    """

    def __init__(self, pool: db.Pool, cipher: TokenCipher, clock: Clock, process_id: str) -> None:
        self._pool = pool
        self._cipher = cipher
        self._clock = clock
        self._process_id = process_id

    async def store(self, credential: Credential, response: TokenResponse) -> None:
        """Store fresh tokens, unless another process has taken the claim."""
        tenant_id, version = credential.tenant.tenant_id, _version(credential)
        now = self._clock.now()
        new = self._cipher.resealed(credential, response, now)
        async with db.transaction(self._pool) as connection:
            # In the order of every other writer: the tenant, then its tokens.
            before, is_other = credential.tenant, _has_other_abilities(credential.tenant, new.scopes)
            changes_tenant = is_other or grant_state.is_refused(before)
            tenant = await get_tenant(connection, tenant_id, None, lock=True) if changes_tenant else None
            if not await tokens.store_refreshed(connection, tenant_id, version, self._process_id, new):
                logger.info("refreshed token discarded", tenant_id=tenant_id)
                return
            facts = {"rotated": str(response.refresh_token is not None).lower()}
            await audit.append(connection, audit.Entry(ITSELF, "token.refresh", now, tenant_id=tenant_id, detail=facts))
            if tenant is not None:
                await grant_state.mark_honoured(connection, tenant, now, has_other_abilities=is_other)

    async def broken(self, credential: Credential, error: GrantError) -> None:
        """Mark the grant as broken, but only if the stored tokens are still those that the provider refused."""
        tenant_id, version = credential.tenant.tenant_id, _version(credential)
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            await grant_state.mark_grant_broken(connection, tenant_id, version, self._process_id, error, now)

    async def refused(self, credential: Credential, error: PassingRefusal) -> None:
        """Record that the provider refuses the grant for now."""
        async with db.transaction(self._pool) as connection:
            await grant_state.mark_refused(connection, credential, self._process_id, error, self._clock.now())

    async def failed(self, credential: Credential, error: MeshError) -> None:
        """Record a failure that says nothing about the grant, and when the next attempt may follow."""
        tenant_id, sealed = credential.tenant.tenant_id, credential.tokens
        failures = (sealed.refresh_failures if sealed else 0) + 1
        now = self._clock.now()
        backoff = min(2.0 ** min(failures - 1, _MAX_DOUBLINGS), _MAX_BACKOFF_SECONDS)
        pause = max(error.retry_after or timedelta(), timedelta(seconds=backoff))
        facts = {"detail": error.metadata["detail"]} if error.metadata.get("detail") else {}
        logger.warning(
            "refresh failed",
            tenant_id=tenant_id,
            reason=error.reason,
            failures=failures,
            detail=facts.get("detail", ""),
        )
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
                entry = audit.Entry(ITSELF, "token.refresh", now, error.reason, tenant_id, facts)
                await audit.append(connection, entry)


def _has_other_abilities(tenant: TenantRow, scopes: tuple[str, ...]) -> bool:
    return granted_abilities(tenant.provider, tenant.requested_abilities, scopes) != tenant.granted_abilities


def _version(credential: Credential) -> int:
    return credential.tokens.version if credential.tokens else 0
