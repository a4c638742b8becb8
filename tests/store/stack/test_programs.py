"""The programs of the stack, run for real."""

import asyncpg
import pytest
import redis.asyncio

from tests.programs.postgres import PostgresProgram
from tests.programs.redis import RedisProgram


async def test_a_service_sees_its_own_schema_only(postgres: PostgresProgram) -> None:
    vault = postgres.empty_database("token_vault")
    connection = await asyncpg.connect(vault.admin_url)
    await connection.execute("CREATE SCHEMA other; CREATE TABLE other.secrets (value text)")
    await connection.close()

    service = await asyncpg.connect(vault.url)
    await service.execute("CREATE TABLE tenants (id text)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.fetch("SELECT * FROM other.secrets")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("CREATE TABLE public.x (id text)")
    schema = await service.fetchval("SELECT schemaname FROM pg_tables WHERE tablename = 'tenants'")
    await service.close()

    assert schema == "vault"


async def test_a_committed_row_survives_the_death_of_postgres(durable_postgres: PostgresProgram) -> None:
    database = durable_postgres.empty_database("ingest")
    connection = await asyncpg.connect(database.url)
    await connection.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
    durable_postgres.running.kill()
    connection.terminate()
    durable_postgres.running.restart()

    connection = await asyncpg.connect(database.url)
    count = await connection.fetchval("SELECT count(*) FROM kept")
    await connection.close()

    assert count == 1


async def test_redis_wants_its_password(redis_program: RedisProgram) -> None:
    stranger = redis.asyncio.Redis(port=redis_program.server.port)
    with pytest.raises(redis.AuthenticationError):
        await stranger.ping()
    await stranger.aclose()


async def test_redis_is_empty_at_the_start_of_each_test(redis_url: str) -> None:
    client = redis.asyncio.Redis.from_url(redis_url)
    size = await client.dbsize()
    await client.aclose()

    assert size == 0
