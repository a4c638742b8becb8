"""Disconnect a tenant: subscriptions deleted, grant revoked, tokens and data key destroyed. A crash resumes."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.loops import for_each
from services.token_vault.audit import ITSELF, actor
from services.token_vault.issuers.issuer import Issuer
from services.token_vault.keys.errors import KeyUnavailable, SealBroken
from services.token_vault.metrics import DISCONNECTS
from services.token_vault.store import audit, erasures, tokens
from services.token_vault.store.credentials import Credential
from services.token_vault.store.due_tenants import disconnecting
from services.token_vault.store.tenants import (
    DISCONNECTED,
    DISCONNECTING,
    Scope,
    TenantRow,
    change_tenant,
    get_tenant,
    owned_by,
)
from services.token_vault.tokens.credential_reader import CredentialReader
from services.token_vault.tokens.token_cipher import TokenCipher

logger = structlog.get_logger(__name__)

_AT_ONCE = 4
_ENDED = frozenset({DISCONNECTING, DISCONNECTED})
_BATCH = 20
_PAUSE = timedelta(seconds=30)


@dataclass(frozen=True)
class DisconnectBounds:
    """Time limits of a disconnect; `release` and `revoke` count from its start.

    Args:
        release: Time for deleting the subscriptions; after it the grant is revoked anyway.
        revoke: Time for revoking the grant; after it the credentials are destroyed anyway.
        lease: How long one process holds one tenant.
    """

    release: timedelta
    revoke: timedelta
    lease: timedelta


class Disconnector:
    """The steps of a disconnect.

    Args:
        pool: Connections to the database.
        reader: Reads credentials.
        cipher: Opens the refresh token for the provider.
        issuers: By provider.
        clock: The time.
        process_id: Owner of the claims.
        bounds: Time limits.
    """

    def __init__(
        self,
        pool: db.Pool,
        reader: CredentialReader,
        cipher: TokenCipher,
        issuers: dict[str, Issuer],
        clock: Clock,
        process_id: str,
        bounds: DisconnectBounds,
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._cipher = cipher
        self._issuers = issuers
        self._clock = clock
        self._process_id = process_id
        self._bounds = bounds

    async def start(self, tenant_id: str, scope: Scope) -> TenantRow:
        """Start to disconnect a tenant. Safe to call again: yes.

        Raises:
            TenantNotFound: The tenant does not exist, or is outside the scope.
        """
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, scope, lock=True)
            if tenant.status in _ENDED:
                return tenant
            values: dict[str, object] = {
                "status": DISCONNECTING,
                "status_reason": "",
                "status_detail": "Subscriptions are being deleted.",
            }
            values |= {"released_at": None, "probe_at": None}
            # With the grant end the shared mailboxes that it opens.
            owned = [one for one in await owned_by(connection, tenant_id) if one.status not in _ENDED]
            for one in owned:
                await change_tenant(connection, one, now, values)
            for ending in (tenant, *owned):
                entry = audit.Entry(actor(), "tenant.disconnect", now, tenant_id=ending.tenant_id)
                await audit.append(connection, entry)
            return await change_tenant(connection, tenant, now, values)

    async def release(self, tenant_id: str) -> None:
        """Record that the subscriptions are deleted. Safe to call again: yes.

        Raises:
            TenantNotFound: The tenant does not exist.
        """
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, None, lock=True)
            if tenant.status == DISCONNECTING and tenant.released_at is None:
                values = {"released_at": now, "status_detail": "The grant is being revoked."}
                await change_tenant(connection, tenant, now, values)

    async def round(self) -> int:
        """Process the tenants that are ready for the next step.

        Returns:
            The number of processed tenants.
        """
        now = self._clock.now()
        async with db.connection(self._pool) as connection:
            ready = await disconnecting(connection, now, now - self._bounds.release, _BATCH)
        await for_each(ready, self._step, at_once=_AT_ONCE)
        return len(ready)

    async def _step(self, tenant_id: str) -> None:
        credential = await self._reader.read(tenant_id)
        if credential.tenant.status != DISCONNECTING:
            return
        revoked = "no"
        if credential.tokens is not None:
            if not await self._claim(credential):
                return
            answer = await self._revoke(credential)
            if answer is None:
                return
            revoked = answer
        await self._destroy(tenant_id, revoked)

    async def _claim(self, credential: Credential) -> bool:
        """Take the claim of a refresh, so that no process refreshes a grant that is being revoked."""
        assert credential.tokens is not None  # noqa: S101 - the caller has checked
        version, now = credential.tokens.version, self._clock.now()
        async with db.transaction(self._pool) as connection:
            return await tokens.claim(
                connection, credential.tenant.tenant_id, version, self._process_id, now, self._bounds.lease
            )

    async def _revoke(self, credential: Credential) -> str | None:
        """Revoke the grant, and return the outcome; None to retry later."""
        tenant = credential.tenant
        if tenant.directory_id is not None or tenant.owner_tenant_id is not None:
            return "not_offered"  # the organisation admits the app, and a shared mailbox has its owner's grant
        issuer = self._issuers.get(tenant.provider)
        if tenant.grant_fault or issuer is None:
            return "no" if issuer is None else "before"
        try:
            return "yes" if await issuer.revoke(self._cipher.refresh_token(credential)) else "not_offered"
        except (SealBroken, KeyUnavailable):
            return "not_readable"
        except MeshError as exc:
            if self._clock.now() - tenant.status_changed_at > self._bounds.revoke:
                return "gave_up"
            await self._postpone(credential, exc)
            return None

    async def _postpone(self, credential: Credential, error: MeshError) -> None:
        assert credential.tokens is not None  # noqa: S101 - the caller has checked
        tenant_id, now = credential.tenant.tenant_id, self._clock.now()
        logger.warning("revocation postponed", tenant_id=tenant_id, reason=error.reason)
        async with db.transaction(self._pool) as connection:
            await tokens.end_claim(
                connection,
                tenant_id,
                credential.tokens.version,
                self._process_id,
                error=error.reason,
                not_before=now + max(error.retry_after or timedelta(), _PAUSE),
            )

    async def _destroy(self, tenant_id: str, revoked: str) -> None:
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            tenant = await get_tenant(connection, tenant_id, None, lock=True)
            if tenant.status != DISCONNECTING:
                return
            await tokens.destroy(connection, tenant_id)
            values = {"status": DISCONNECTED, "status_detail": "The credentials are destroyed."}
            await change_tenant(connection, tenant, now, {**values, "grant_fault": ""})
            await erasures.separate(connection, tenant_id)
            facts = {"revoked": revoked, "destroyed": "true", "released": str(tenant.released_at is not None).lower()}
            await audit.append(
                connection, audit.Entry(ITSELF, "tenant.disconnect", now, tenant_id=tenant_id, detail=facts)
            )
        DISCONNECTS.labels(revoked).inc()
        logger.info("tenant disconnected", tenant_id=tenant_id, revoked=revoked)
