"""The queue of an endpoint on a real PostgreSQL, for tests."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.delivery.endpoints.secrets import Sealer
from services.delivery.endpoints.use_cases import Endpoints, Scope
from services.delivery.sending.attempt import Tried
from services.delivery.sending.results import record
from services.delivery.sending.schedule import Outcome, Schedule
from services.delivery.store import deliveries, leases
from services.delivery.store.rows import AttemptRow, Count, Delivery, EndpointRow, Place
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from tests.programs.postgres import TestDatabase

Pool = "asyncpg.Pool[Any]"
LEASE = timedelta(seconds=30)
DAY = timedelta(days=1)
TENANT, OTHER = new_id(), new_id()
ALL = Scope()
SCHEDULE = Schedule((timedelta(hours=1),) * 2, timedelta(minutes=5), timedelta(hours=1), 5 * DAY)
VALUES = {
    "url": "https://receiver.example.com/hooks",
    "display_name": "",
    "tenant_ids": [],
    "providers": [],
    "event_types": ["mail.*"],
    "view": 1,
    "timeout_ms": 15_000,
    "concurrency": 8,
    "signature": 1,
    "created_by": "key",
}


class Stream:
    """A stream that stands at one place, and whose events are of one tenant."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    async def position(self, cursor: str) -> str:
        return cursor

    async def since(self, row: EndpointRow, moment: datetime) -> Place:
        return Place(row.position, Count(0))

    async def delivery(self, event_id: str) -> Delivery:
        return Delivery(event_id, self.tenant, "mail.created", "a", b"{}")


@pytest.fixture
async def pool(delivery_database: TestDatabase) -> AsyncIterator[Pool]:
    async with open_pool(Secret(delivery_database.url), "test", DatabaseLimits(connections=8)) as opened:
        yield opened


def use_cases(pool: Pool, limit: int = 10, tenant: str = TENANT) -> Endpoints:
    return Endpoints(pool, Sealer({"one": os.urandom(32)}), Stream(tenant), limit, lambda: None, SystemClock())


async def held(pool: Pool, lease_id: str, **values: object) -> EndpointRow:
    """Creates an endpoint and leases it."""
    await use_cases(pool).create({**VALUES, **values}, {}, "latest")
    async with db.connection(pool) as connection:
        [row] = await leases.claim(connection, lease_id, LEASE, 10)
    return row


def delivery(message: str, number: int = 0, tenant: str = TENANT) -> Delivery:
    return Delivery(new_id(), tenant, f"mail.{number}", message, b"{}")


async def queued(pool: Pool, row: EndpointRow, *new: Delivery) -> list[str]:
    """Adds deliveries, and returns the ids that can be sent now."""
    async with db.transaction(pool) as connection:
        await deliveries.insert(connection, row.endpoint_id, new)
    return await ready(pool, row)


async def ready(pool: Pool, row: EndpointRow, *busy: str) -> list[str]:
    async with db.connection(pool) as connection:
        found = await deliveries.following(connection, row.endpoint_id, busy, 100)
    return [one.event_id for one in found if one.wait_seconds <= 0]


def tried(one: Delivery, status: int) -> Tried:
    is_delivered, now = status == 200, datetime.now(UTC)
    reason = "" if is_delivered else "HTTP_STATUS"
    made = AttemptRow(
        new_id(),
        one.event_id,
        one.tenant_id,
        one.event_type,
        one.attempts + 1,
        now,
        5,
        is_delivered,
        status,
        reason,
        b"answer",
    )
    return Tried(one, made, Outcome(is_delivered, status, reason, None, one.attempts == 0))


async def pass_time(pool: Pool, span: timedelta) -> None:
    """Lets time pass for the queue: the database's clock stays, and everything that it is compared with moves back."""
    await pool.execute(
        "UPDATE delivery.deliveries SET due_at = due_at - $1::interval, failed_at = failed_at - $1", span
    )
    await pool.execute(
        "UPDATE delivery.endpoints SET failing_since = failing_since - $1::interval,"
        " succeeded_at = succeeded_at - $1, throttled_until = throttled_until - $1",
        span,
    )


async def recorded(pool: Pool, lease_id: str, row: EndpointRow, *done: Tried) -> EndpointRow | None:
    return await record(pool, lease_id, row.endpoint_id, done, SCHEDULE, datetime.now(UTC))
