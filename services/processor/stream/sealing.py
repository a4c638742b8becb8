"""The choice of tenants whose stored content is sealed, and the pass that seals what was stored before the choice."""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import structlog

from mailmesh.processor.v1 import sealing_service_pb2 as pb2
from mailmesh.vault.v1 import content_key_service_pb2 as vault_pb2
from mailmesh.vault.v1.content_key_service_pb2_grpc import ContentKeyServiceAsyncStub
from services.meshkit import db
from services.meshkit.erasing import marked, renew_statistics
from services.meshkit.ids import new_id
from services.processor.errors import SealingExcludesSearch, TenantNotFound
from services.processor.stream.contents import CONTENTS, MAX_TENANTS
from services.processor.stream.errors import ContentKeyUnavailable, SealBroken, SealedTenantsFull
from services.processor.stream.key_follower import KeyFollower
from services.processor.stream.serialization import SEALED_KINDS
from services.processor.stream.store import features, sealed_tenants, tenants
from services.processor.stream.store.sealed_tenants import SETTLE, Sealing
from services.processor.stream.store.stored_events import seal_events

logger = structlog.get_logger(__name__)

IsIndexed: TypeAlias = Callable[[db.Connection, str], Awaitable[bool]]
"""Returns whether a tenant's mail is indexed for search."""
SealSome: TypeAlias = Callable[[db.Connection, str], Awaitable[int]]
"""Seals some rows of a tenant that are not sealed; returns how many. 0 means that none are left."""
_SCHEMA = "processor"
_CALL_SECONDS = 10.0
_DUTY, _DUTY_LASTS = "sealing", timedelta(seconds=30)
_TENANTS = 20
_TURN_SECONDS = 1.0
"""The time after which the next tenant has its turn."""


class SealingChoice:
    """The use cases of callers.

    Args:
        pool: Connections to PostgreSQL.
        stub: The client of TokenVault.
        keys: Gets the keys of this process.
        is_indexed: Returns whether a tenant's mail is indexed.
    """

    def __init__(
        self, pool: db.Pool, stub: ContentKeyServiceAsyncStub, keys: KeyFollower, is_indexed: IsIndexed
    ) -> None:
        self._pool = pool
        self._stub = stub
        self._keys = keys
        self._is_indexed = is_indexed

    async def settings(self, tenant_id: str, scope: list[str] | None) -> Sealing | None:
        """Return a tenant's choice and its progress; None when it never made one. Raises `TenantNotFound`."""
        async with db.connection(self._pool) as connection:
            await _check_tenant(connection, tenant_id, scope)
            return await sealed_tenants.read(connection, tenant_id)

    async def update(self, tenant_id: str, settings: pb2.SealingSettings, scope: list[str] | None) -> Sealing | None:
        """Enable or disable sealing. Safe to call again: yes.

        Raises:
            TenantNotFound: There is no such tenant in scope.
            SealingExcludesSearch: The tenant's mail is indexed.
            SealedTenantsFull: As many tenants have a key as may.
            MeshError: TokenVault makes no key now.
        """
        if settings.is_enabled:
            await self._check_enabling(tenant_id, scope)
            # The key exists before anything is sealed with it, and no transaction waits for it.
            await self._stub.CreateContentKey(
                vault_pb2.CreateContentKeyRequest(tenant_id=tenant_id), timeout=_CALL_SECONDS
            )
        async with db.transaction(self._pool) as connection:
            await _check_tenant(connection, tenant_id, scope)
            if not settings.is_enabled:
                await sealed_tenants.disable(connection, tenant_id)
            else:
                await sealed_tenants.lock_list(connection)
                await tenants.lock(connection, tenant_id)
                await self._check_free(connection, tenant_id)
                await self._check_room(connection, tenant_id)
                await sealed_tenants.enable(connection, tenant_id)
                await features.note(connection, features.SEALED_CONTENT)
        await self._keys.round()
        return await self.settings(tenant_id, scope)

    async def _check_enabling(self, tenant_id: str, scope: list[str] | None) -> None:
        async with db.transaction(self._pool) as connection:
            await _check_tenant(connection, tenant_id, scope)
            await self._check_free(connection, tenant_id)
            await self._check_room(connection, tenant_id)

    async def _check_room(self, connection: db.Connection, tenant_id: str) -> None:
        count, _ = await sealed_tenants.summary(connection)
        if count >= MAX_TENANTS and await sealed_tenants.read(connection, tenant_id) is None:
            raise SealedTenantsFull(metadata={"maximum": str(MAX_TENANTS)})

    async def _check_free(self, connection: db.Connection, tenant_id: str) -> None:
        if tenant_id in await marked(connection, _SCHEMA, [tenant_id]):
            raise TenantNotFound.of(tenant_id)
        if await self._is_indexed(connection, tenant_id):
            raise SealingExcludesSearch(subject=tenant_id, metadata={"tenant_id": tenant_id})


class StoredSealing:
    """Seals what was stored before tenants chose sealing: off the way of events, one process at a time.

    It begins a minute after the choice. By then every process seals what it stores, and no transaction that did not is
    under way, so one pass finds all. The place that it has reached is committed with what it sealed.

    Args:
        pool: Connections to PostgreSQL.
        steps: Seal the rows of other tables, each a bounded number.
        settle: The time after the choice.
    """

    def __init__(self, pool: db.Pool, steps: Sequence[SealSome], settle: timedelta = SETTLE) -> None:
        self._pool = pool
        self._steps = steps
        self._settle = settle
        self._holder = new_id()

    async def round(self) -> int:
        """Seal content of some tenants for a while each; return how many transactions. Safe to call again: yes.

        Tenants whose keys this process has not got wait, and hold up no other.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached.
        """
        async with db.connection(self._pool) as connection:
            due = await sealed_tenants.due(connection, self._settle, CONTENTS.unusable(), _TENANTS)
            if not due or not await tenants.take_duty(connection, _DUTY, self._holder, _DUTY_LASTS):
                return 0
        done: list[tuple[str, datetime]] = []
        moved = 0
        for tenant_id in due:
            if CONTENTS.is_sealing(tenant_id):
                try:
                    turns, chosen_at = await self._turn(tenant_id)
                except (ContentKeyUnavailable, SealBroken) as exc:  # its key went while it had its turn
                    logger.warning("stored content not sealed", tenant_id=tenant_id, error=exc.reason)
                    continue
                moved += turns
                if chosen_at is not None:
                    done.append((tenant_id, chosen_at))
        if done:
            # The statistics of the planner hold values of columns.
            await renew_statistics(self._pool, _SCHEMA)
            async with db.connection(self._pool) as connection:
                for tenant_id, chosen_at in done:
                    await sealed_tenants.complete(connection, tenant_id, chosen_at)
        return moved

    async def _turn(self, tenant_id: str) -> tuple[int, datetime | None]:
        """Seal content of a tenant for a while.

        Returns:
            The number of transactions, and the time of the choice once nothing is left.
        """
        ends_at, moved = time.monotonic() + _TURN_SECONDS, 0
        while time.monotonic() < ends_at:
            async with db.transaction(self._pool) as connection:
                current = await sealed_tenants.read(connection, tenant_id, lock=True)
                if current is None or not current.is_enabled or current.is_complete:
                    return moved, None
                some = await self._some(connection, tenant_id, current.position)
                if some is None:
                    return moved, current.enabled_at
                await sealed_tenants.advance(connection, tenant_id, *some)
            moved += 1
        return moved, None

    async def _some(self, connection: db.Connection, tenant_id: str, position: int) -> tuple[int, int] | None:
        """Seal some rows; return the position that was reached, and the number of rows; None when none are left."""
        events = await seal_events(connection, tenant_id, position, SEALED_KINDS)
        if events is not None:
            return events
        for step in self._steps:
            sealed = await step(connection, tenant_id)
            if sealed:
                return position, sealed
        return None


async def _check_tenant(connection: db.Connection, tenant_id: str, scope: list[str] | None) -> None:
    is_in_scope = scope is None or tenant_id in scope
    if not is_in_scope or await tenants.granted(connection, tenant_id) is None:
        raise TenantNotFound.of(tenant_id)
