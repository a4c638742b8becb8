"""Redis is wiped, stopped or unreachable: it costs time and never an event."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from services.processor.worker import running
from stack.certificates import MeshCertificates
from tests.programs.postgres import TestDatabase
from tests.programs.redis import RedisProgram
from tests.programs.simulator import RunningSimulator
from tests.store.processor.ground import Ground, standing

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def shaky_ground(
    simulator: RunningSimulator,
    certificates: MeshCertificates,
    ingest_database: TestDatabase,
    processor_database: TestDatabase,
    redis_program: RedisProgram,
) -> AsyncIterator[Ground]:
    """Open everything except the worker, with a Redis of the test's own."""
    async with standing(simulator, certificates, ingest_database, processor_database, redis_program.url()) as made:
        yield made


async def test_wiping_redis_under_load_loses_nothing(shaky_ground: Ground, redis_program: RedisProgram) -> None:
    ground = shaky_ground
    tenants = [await ground.tenant("ms365") for _ in range(4)]
    client = redis.asyncio.Redis.from_url(redis_program.url())
    told = []
    async with running(ground.worker_settings(sweep_seconds=1.0)):
        for number in range(40):
            tenant = tenants[number % 4]
            mail = await ground.control.deliver(tenant.address, subject=f"Mail {number}")
            await ground.notify(tenant, "created", mail)
            told.append(mail["id"])
            await client.flushall()
        await ground.settled()
    await client.aclose()

    assert sorted(told) == sorted(event.message_id for event in await ground.events())


async def test_processing_continues_while_redis_is_unreachable_and_after_it_returns(
    shaky_ground: Ground, redis_program: RedisProgram
) -> None:
    ground = shaky_ground
    tenant = await ground.tenant("ms365")
    async with running(ground.worker_settings(sweep_seconds=1.0)):
        await ground.notify(tenant, "created", await ground.control.deliver(tenant.address, subject="Before"))
        await ground.settled()
        await asyncio.to_thread(redis_program.running.kill)
        await ground.notify(tenant, "created", await ground.control.deliver(tenant.address, subject="While"))
        await ground.settled()
        await asyncio.to_thread(redis_program.running.restart)
        await ground.notify(tenant, "created", await ground.control.deliver(tenant.address, subject="After"))
        await ground.settled()

    assert ["Before", "While", "After"] == [event.mail.message.subject for event in await ground.events(tenant)]
