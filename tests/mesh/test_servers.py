"""The mesh on servers that exist already."""

from pathlib import Path

import asyncpg
import pytest

from stack.blocking import run_blocking
from stack.programs.roles import with_database, with_role
from tests.mesh.accounts import connect, new_address, subscribe, told_when_all_are
from tests.programs.mesh import eventually, running_mesh
from tests.programs.postgres import PostgresProgram
from tests.programs.redis import RedisProgram

pytestmark = pytest.mark.timeout(300)


def test_it_runs_on_an_existing_postgresql_and_redis_without_a_superuser(
    durable_postgres: PostgresProgram, redis_program: RedisProgram, short_folder: Path
) -> None:
    server = durable_postgres.server.url()
    run_blocking(_execute(server, "CREATE ROLE operator LOGIN CREATEROLE PASSWORD 'operator'"))
    run_blocking(_execute(server, "CREATE DATABASE company OWNER operator"))
    url = with_database(with_role(server, "operator", "operator"), "company")
    environment = {"DATABASE_URL": url, "REDIS_URL": redis_program.url()}
    with running_mesh(short_folder / "given", environment=environment) as mesh:
        address = new_address(mesh, "googlews")
        tenant = connect(mesh, "googlews", address)
        subscribe(mesh, tenant)
        mails = mesh.simulator.generate(address, 2)

        told = eventually(lambda: told_when_all_are(mesh, tenant, 2), 60)
        assert told == sorted(mail["id"] for mail in mails)
        assert {"postgres", "redis"} & set(mesh.ready.processes) == set()


def test_a_database_that_cannot_be_reached_is_one_clear_line(short_folder: Path) -> None:
    environment = {"DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/none"}
    with pytest.raises(AssertionError) as told, running_mesh(short_folder / "none", environment=environment):
        pass

    assert "PostgreSQL refuses to make roles and schemas" in str(told.value)
    assert "Traceback" not in str(told.value)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
