"""Make and lend the keys that seal tenants' stored content. They open no token, and end with their tenant's erasure."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.token_vault.audit import actor
from services.token_vault.errors import TenantNotFound
from services.token_vault.keys.errors import KeyUnavailable, SealBroken
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.sealing import ContentKey, new_content_key, unwrap_content_key
from services.token_vault.metrics import SEALS_BROKEN
from services.token_vault.store import audit, data_keys, encryption_keys, erasures
from services.token_vault.store.data_keys import WrappedKey
from services.token_vault.store.tenants import get_tenant

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LentKey:
    """A content key, or the reason why it does not open.

    Args:
        tenant_id: Its tenant.
        key: The key, or None.
        reason: A reason of the catalogue; empty with a key.
    """

    tenant_id: str
    key: ContentKey | None
    reason: str = ""


class ContentKeys:
    """Makes and lends content keys.

    Args:
        pool: Connections to the database.
        ring: The key-encryption keys.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, ring: KeyRing, clock: Clock) -> None:
        self._pool = pool
        self._ring = ring
        self._clock = clock

    async def create(self, tenant_id: str) -> None:
        """Make the content key of a tenant, unless it has one. Safe to call again: yes.

        Raises:
            TenantNotFound: The tenant does not exist, or is being erased.
            KeyUnavailable: The key that wraps new keys is not loaded.
        """
        async with db.transaction(self._pool) as connection:
            await get_tenant(connection, tenant_id, None, lock=True)
            if await erasures.find(connection, tenant_id, None) is not None:
                raise TenantNotFound.of(tenant_id)
            key_id = await encryption_keys.writing_key_id(connection, lock=True)
            if await data_keys.insert_content_key(connection, new_content_key(self._ring, tenant_id, key_id)):
                await audit.append(connection, self._entry("content_key.create", tenant_id, audit.OK))

    async def lend(self, tenant_ids: Sequence[str]) -> list[LentKey]:
        """Lend the content keys of tenants. A tenant without one is left out. Safe to call again: yes."""
        async with db.transaction(self._pool) as connection:
            lent = [self._opened(one) for one in await data_keys.content_keys(connection, tenant_ids)]
            if lent:
                entries = [self._entry("content_key.lend", one.tenant_id, one.reason or audit.OK) for one in lent]
                await audit.append(connection, *entries)
        return lent

    def _opened(self, wrapped: WrappedKey) -> LentKey:
        """Open a key. One that does not open does not stop the others."""
        try:
            return LentKey(wrapped.tenant_id, unwrap_content_key(self._ring, wrapped))
        except (KeyUnavailable, SealBroken) as exc:
            return self._refused(wrapped.tenant_id, exc)

    def _refused(self, tenant_id: str, error: MeshError) -> LentKey:
        if isinstance(error, SealBroken):
            SEALS_BROKEN.inc()
        logger.error("content key does not open", tenant_id=tenant_id, reason=error.reason)
        return LentKey(tenant_id, None, error.reason)

    def _entry(self, action: str, tenant_id: str, outcome: str) -> audit.Entry:
        return audit.Entry(actor(), action, self._clock.now(), outcome, tenant_id=tenant_id)
