"""Any part goes down at any moment: an acknowledged notification is on disk, and any other was refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from grpc_health.v1 import health_pb2
from redis.asyncio import Redis

from services.ingest.server import serving
from services.meshkit import queue
from services.meshkit.channel import mesh_channel
from services.meshkit.identity.certificates import TlsFiles
from stack.certificates import MeshCertificates
from tests.factories.ingest import Watched, add_watched, graph_body, graph_item
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.programs.redis import RedisProgram
from tests.wire.ingest.conftest import Clients, MakeSettings
from tests.wire.ingest.process import Fire, ingest_process
from tests.wire.ingest.pushing import push_graph

SOURCES = 8
QUEUE = "processor"


async def watch(url: str, count: int = 5) -> list[Watched]:
    connection = await asyncpg.connect(url)
    try:
        return [await add_watched(connection) for _ in range(count)]
    finally:
        await connection.close()


async def on_disk(url: str) -> list[str]:
    """The message ids of all items."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT content FROM ingest.items")
        return [json.loads(row["content"])["message_id"] for row in rows]
    finally:
        await connection.close()


@asynccontextmanager
async def clients_at(certificates: MeshCertificates, port: int) -> AsyncIterator[Clients]:
    identity = certificates.identity("envoy")
    tls = TlsFiles(identity.certificate, identity.key, identity.authority)
    async with mesh_channel(f"127.0.0.1:{port}", "ingest", tls) as channel:
        yield Clients(channel, channel)


@asynccontextmanager
async def firing(fire: Fire) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        for _ in range(SOURCES):
            group.create_task(fire.go_on())
        try:
            yield
        finally:
            fire.is_over.set()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_postgresql_stopped_and_started_under_fire(
    durable_postgres: PostgresProgram, make_settings: MakeSettings, clients_of: Callable[..., Any], end: str
) -> None:
    database = durable_postgres.migrated_database("ingest")
    async with serving(make_settings(database_url=database.url)) as server:
        fire = Fire(await watch(database.url), await clients_of(server))
        async with firing(fire):
            for _ in range(2):
                await fire.until_acknowledged(100)
                await asyncio.to_thread(getattr(durable_postgres.running, end))
                await asyncio.to_thread(durable_postgres.running.restart)
            await fire.until_acknowledged(100)

    found = await on_disk(database.url)
    assert len(found) == len(set(found))
    assert fire.acknowledged <= set(found)
    assert fire.refused
    assert {"OK", "UNAVAILABLE"} >= set(fire.codes)


@pytest.mark.timeout(300)
async def test_a_postgresql_that_only_reads_under_fire(
    durable_postgres: PostgresProgram, make_settings: MakeSettings, clients_of: Callable[..., Any]
) -> None:
    database = durable_postgres.migrated_database("ingest")
    async with serving(make_settings(database_url=database.url)) as server:
        clients = await clients_of(server)
        fire = Fire(await watch(database.url), clients)
        async with firing(fire):
            await fire.until_acknowledged(100)
            await only_reads(database.admin_url, "on")
            async with asyncio.timeout(60):
                while not fire.refused or await is_serving(clients):
                    await asyncio.sleep(0.05)
            await only_reads(database.admin_url, "off")
            await fire.until_acknowledged(100)
            async with asyncio.timeout(60):
                while not await is_serving(clients):
                    await asyncio.sleep(0.05)

    found = await on_disk(database.url)
    assert len(found) == len(set(found))
    assert fire.acknowledged <= set(found)
    assert {"OK", "UNAVAILABLE"} == set(fire.codes)


async def only_reads(admin_url: str, state: str) -> None:
    """Has every transaction of the server only read, or not."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def is_serving(clients: Clients) -> bool:
    """Return the answer of health, as the edge asks it."""
    answer = await clients.health.Check(health_pb2.HealthCheckRequest(), timeout=10)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.timeout(300)
async def test_a_postgresql_that_hangs_is_answered_503_in_time_and_served_again_when_it_is_back(
    durable_postgres: PostgresProgram, make_settings: MakeSettings, clients_of: Callable[..., Any]
) -> None:
    database = durable_postgres.migrated_database("ingest")
    settings = make_settings(database_url=database.url, commit_seconds=4.0)
    async with serving(settings) as server:
        clients = await clients_of(server)
        fire = Fire(await watch(database.url), clients)
        await fire.push("AAMkBefore")
        connection = await asyncpg.connect(database.url)
        # The lock stands for a server that does not answer: no commit returns while it is held.
        async with connection.transaction():
            await connection.execute("LOCK TABLE ingest.items IN ACCESS EXCLUSIVE MODE")
            # Each gives up after ten seconds, as a provider does: the answer is there before, while the lock is held.
            await asyncio.gather(*(fire.push(f"AAMkDuring{number}") for number in range(5)))
        await connection.close()
        await fire.push("AAMkAfter")

    assert {"OK": 2, "UNAVAILABLE": 5} == fire.codes
    assert {"AAMkBefore", "AAMkAfter"} == fire.acknowledged
    assert fire.acknowledged <= set(await on_disk(database.url))


@pytest.mark.timeout(400)
async def test_ingest_killed_under_fire_has_everything_that_it_acknowledged(
    ingest_database: TestDatabase, certificates: MeshCertificates, tmp_path: Path
) -> None:
    watched = await watch(ingest_database.url)
    with ingest_process(certificates, ingest_database.url, tmp_path) as ingest:
        async with clients_at(certificates, ingest.port) as clients:
            fire = Fire(watched, clients)
            async with firing(fire):
                for _ in range(2):
                    await fire.until_acknowledged(50)
                    await asyncio.to_thread(ingest.running.kill)
                    await asyncio.to_thread(ingest.running.restart)
                await fire.until_acknowledged(50)
            # The provider repeats all that was refused; a committed one is known nevertheless.
            async with asyncio.timeout(120):
                while left := sorted(fire.refused - fire.acknowledged)[:SOURCES]:
                    await asyncio.gather(*(fire.push(message_id) for message_id in left))

    found = await on_disk(ingest_database.url)
    assert len(found) == len(set(found))
    assert fire.acknowledged == set(found)
    assert fire.refused


@pytest.mark.timeout(300)
async def test_two_processes_take_the_same_notifications_at_once_and_keep_each_once(
    ingest_database: TestDatabase, certificates: MeshCertificates, tmp_path: Path
) -> None:
    watched = await watch(ingest_database.url)
    patience = {"MAILMESH_INGEST_COMMIT_SECONDS": "9"}
    with (
        ingest_process(certificates, ingest_database.url, tmp_path, **patience) as one,
        ingest_process(certificates, ingest_database.url, tmp_path, **patience) as other,
    ):
        async with clients_at(certificates, one.port) as first, clients_at(certificates, other.port) as second:
            fires = [Fire(watched, first), Fire(watched, second)]
            names = [f"AAMk{number}" for number in range(200)]
            pushes = [fire.push(name) for name in names for fire in fires]
            for at in range(0, len(pushes), 40):
                await asyncio.gather(*pushes[at : at + 40])

    assert all(set(names) == fire.acknowledged for fire in fires)
    assert sorted(names) == sorted(await on_disk(ingest_database.url))


async def woken(redis: Redis) -> list[str]:
    """The tenants that workers are woken for, as the queue has it."""
    return sorted(json.loads(wake_up)[0] for wake_up in await redis.lrange(queue.list_name(QUEUE), 0, -1))


async def until_woken(redis: Redis, tenants: list[str]) -> None:
    async with asyncio.timeout(60):
        while sorted(tenants) != await woken(redis):
            await asyncio.sleep(0.02)


@pytest.fixture
def patient_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wake-up may be lost when Redis does not take it at once. Here none should be: no sweep follows them."""
    monkeypatch.setattr(queue, "_SEND_SECONDS", 20.0)


@pytest.mark.usefixtures("patient_wakes")
async def test_a_worker_is_woken_once_for_a_mailbox_that_has_become_due(
    redis_url: str, make_settings: MakeSettings, clients_of: Callable[..., Any], database: asyncpg.Connection
) -> None:
    one, other = await add_watched(database), await add_watched(database)
    async with serving(make_settings(redis_url=redis_url)) as server, Redis.from_url(redis_url) as redis:
        clients = await clients_of(server)
        await push_graph(clients, graph_body(graph_item(one)))
        await until_woken(redis, [one.tenant_id])
        await push_graph(clients, graph_body(graph_item(one), graph_item(other)))

        await until_woken(redis, [one.tenant_id, other.tenant_id])


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("patient_wakes")
async def test_with_redis_wiped_or_down_webhooks_are_taken_as_before(
    redis_program: RedisProgram,
    make_settings: MakeSettings,
    clients_of: Callable[..., Any],
    database: asyncpg.Connection,
) -> None:
    watched = [await add_watched(database) for _ in range(4)]
    async with serving(make_settings(redis_url=redis_program.url())) as server:
        clients = await clients_of(server)
        await push_graph(clients, graph_body(graph_item(watched[0])))
        async with Redis.from_url(redis_program.url()) as redis:
            await redis.flushall()
        await push_graph(clients, graph_body(graph_item(watched[1])))
        await asyncio.to_thread(redis_program.running.kill)
        async with asyncio.timeout(10):  # as long as the provider waits
            await push_graph(clients, graph_body(graph_item(watched[2])))
        await asyncio.to_thread(redis_program.running.restart)
        await push_graph(clients, graph_body(graph_item(watched[3])))
        async with Redis.from_url(redis_program.url()) as redis:
            async with asyncio.timeout(60):
                while watched[3].tenant_id not in await woken(redis):
                    await asyncio.sleep(0.05)

    assert 4 == await database.fetchval("SELECT count(*) FROM ingest.items")
    assert 4 == await database.fetchval("SELECT count(*) FROM ingest.mailboxes WHERE next_due_at <= now()")
