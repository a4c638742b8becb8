"""A pool on a real PostgreSQL, and subscriptions in it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as pb
from mailmesh.vault.v1 import tenant_pb2
from services.ingest.store import subscription_leases as leases
from services.ingest.store import subscriptions
from services.ingest.store.subscription_rows import ProviderSubscription, SubscriptionRow
from services.ingest.store.subscriptions import FIRST_STEP
from services.ingest.subscriptions.schedule import renewal_time
from services.meshkit import db
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from tests.programs.postgres import TestDatabase

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
WEEK = timedelta(days=7)


async def record_active(
    connection: db.Connection, row: SubscriptionRow, made: ProviderSubscription, now: datetime, *, is_new: bool
) -> bool:
    """Store that the provider made or renewed it, to be renewed when a step would."""
    renew_at = renewal_time(row.provider, now, made.expires_at)
    return await leases.record_active(connection, row, made, now, renew_at=renew_at, is_new=is_new)


@dataclass(frozen=True)
class Ground:
    """Ingest's database, and what tests do with it."""

    pool: db.Pool

    async def add(self, tenant_id: str = "", *, at: datetime = NOW, **fields: Any) -> SubscriptionRow:
        """Adds a pending subscription that the loops may take at a time; by default of its own tenant."""
        wanted = {
            "provider": "ms365",
            "folder_id": "inbox",
            "label_ids": (),
            "change_types": ("created", "deleted", "updated"),
            "delivery_mode": pb.DELIVERY_MODE_PUSH,
            "state": pb.SUBSCRIPTION_STATE_PENDING,
        }
        async with db.transaction(self.pool) as connection:
            row, _ = await subscriptions.insert(
                connection,
                subscriptions.Wanted(tenant_id=tenant_id or new_id(), now=at - FIRST_STEP, **(wanted | fields)),
            )
        return row

    async def add_watch(self, tenant_id: str, *labels: str) -> SubscriptionRow:
        """Adds a pending subscription to labels."""
        return await self.add(tenant_id, provider="googlews", folder_id="", label_ids=labels)

    async def lease(self, row: SubscriptionRow, holder: str = "one", at: datetime = NOW) -> SubscriptionRow | None:
        """Leases it; None when another process has it."""
        async with db.connection(self.pool) as connection:
            leased = await leases.lease(connection, row.subscription_id, holder, at)
        return None if leased is None else leased[0]

    async def make(self, row: SubscriptionRow, at: datetime = NOW, history_id: int | None = None) -> SubscriptionRow:
        """Leases it and has it made."""
        held = await self.lease(row, at=at)
        assert held is not None
        made = ProviderSubscription(f"provider-{row.subscription_id}", at + WEEK, history_id)
        async with db.transaction(self.pool) as connection:
            assert await record_active(connection, held, made, at, is_new=True)
        return await self.read(row)

    async def read(self, row: SubscriptionRow) -> SubscriptionRow:
        """Reads it again."""
        async with db.connection(self.pool) as connection:
            found = await subscriptions.get(connection, row.subscription_id, None)
        assert found is not None
        return found

    async def due(self, at: datetime = NOW, provider: str = "ms365", limit: int = 100) -> list[str]:
        """Return the ids of the due subscriptions."""
        async with db.connection(self.pool) as connection:
            return await leases.due(connection, provider, at, limit)

    async def change_tenant(self, tenant_id: str, reason: int | None = None) -> None:
        """Says that the tenant's state has changed."""
        async with db.transaction(self.pool) as connection:
            await subscriptions.tenant_changed(connection, tenant_id, reason)

    async def delete(self, row: SubscriptionRow, at: datetime = NOW) -> None:
        """Asks for its deletion, which the loops may take at a time."""
        async with db.transaction(self.pool) as connection:
            assert await subscriptions.begin_deletion(connection, row.subscription_id, None, at - FIRST_STEP)


@pytest.fixture
async def pool(ingest_database: TestDatabase) -> AsyncIterator[db.Pool]:
    """Connections as Ingest's own role."""
    async with open_pool(Secret(ingest_database.url), "ingest", DatabaseLimits(connections=4)) as opened:
        yield opened


@pytest.fixture
def ground(pool: db.Pool) -> Ground:
    """Ingest's database."""
    return Ground(pool)


def tenant(tenant_id: str, status: int = tenant_pb2.TENANT_STATUS_ACTIVE, **fields: Any) -> tenant_pb2.Tenant:
    """A tenant as TokenVault tells it."""
    told = {"provider": "ms365", "external_tenant_id": "x", "user_id": "u", "address": "Ann@Contoso.test"} | fields
    return tenant_pb2.Tenant(tenant_id=tenant_id, status=status, **told)
