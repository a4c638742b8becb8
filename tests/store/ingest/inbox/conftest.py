"""Ingest's inbox on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import pytest

from mailmesh.ingest.v1.inbox_service_pb2 import TenantLease
from services.ingest.store import claims
from services.ingest.store.claims import ClaimRequest
from services.ingest.store.dedicated_connection import DedicatedConnection
from services.ingest.store.items import Accepted, Kind, NewItem, accept_items
from services.meshkit import db
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from tests.programs.postgres import TestDatabase

DEATHS = 3


def make_item(tenant_id: str, **overrides: object) -> NewItem:
    """An item about a Gmail mailbox, which is no repeat of anything."""
    values: dict[str, object] = {
        "item_id": new_id(),
        "tenant_id": tenant_id,
        "kind": Kind.MAILBOX_CHANGED,
        "content": b"\x08\x01",
        "received_at": datetime.now(UTC),
        "key": new_id(),
        "correlation_id": new_id(),
    }
    return NewItem(**(values | overrides))  # type: ignore[arg-type]


@dataclass
class Inbox:
    """The connections of an inbox, and short ways to use them."""

    pool: db.Pool
    connection: DedicatedConnection

    async def put(self, *items: NewItem) -> Accepted:
        return await accept_items(self.connection, items, 5.0)

    async def put_new(self, tenant_id: str, count: int) -> list[str]:
        items = [make_item(tenant_id) for _ in range(count)]
        await self.put(*items)
        return [item.item_id for item in items]

    async def claim(
        self, max_items: int = 100, max_tenants: int = 1, tenant_id: str = "", worker: str = "worker-1", **more: bool
    ) -> list[TenantLease]:
        return await claims.claim(
            self.pool, ClaimRequest(worker, max_items, max_tenants, 60, tenant_id, **more), DEATHS
        )

    async def expire(self, tenant_id: str) -> None:
        """Lets a lease run out."""
        await self.pool.execute(
            "UPDATE ingest.mailboxes SET lease_until = now() - interval '1 s', next_due_at = now() - interval '1 s'"
            " WHERE tenant_id = $1",
            tenant_id,
        )


@pytest.fixture
async def inbox(ingest_database: TestDatabase) -> AsyncIterator[Inbox]:
    """The inbox of one process."""
    async with (
        open_pool(Secret(ingest_database.url), "test") as pool,
        open_pool(Secret(ingest_database.url), "test writer", DatabaseLimits(connections=1)) as writer_pool,
    ):
        connection = DedicatedConnection(writer_pool)
        yield Inbox(pool, connection)
        await connection.aclose()


@pytest.fixture
async def database(ingest_database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A connection to Ingest's database, as its own role."""
    connection = await asyncpg.connect(ingest_database.url)
    yield connection
    await connection.close()


def ids(lease: TenantLease) -> list[str]:
    """The ids of a lease's items."""
    return [item.item_id for item in lease.items]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 40.0) -> None:
    """Waits for a condition that is asked of a database."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


__all__: Sequence[str] = ["DEATHS", "Inbox", "ids", "make_item", "until"]
