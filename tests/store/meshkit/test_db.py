"""The database engine against a real PostgreSQL: bounds, timeouts, and what becomes of failures."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from services.meshkit.db import Database, DatabaseLimits, open_pool, store_errors
from services.meshkit.errors import Conflict, StoreUnavailable
from services.meshkit.secret import Secret
from tests.programs.postgres import PostgresProgram

LIMITS = DatabaseLimits(connections=2, wait_seconds=10, statement_seconds=20, lock_seconds=15)
# What is waited for in vain here shows that there is a bound; what has to succeed is not held to it.
SHORT = DatabaseLimits(connections=2, wait_seconds=0.3, statement_seconds=0.3, lock_seconds=0.2)


@pytest.fixture
def url(postgres: PostgresProgram) -> Secret:
    return Secret(postgres.empty_database("ingest").admin_url)


@pytest.fixture
async def hasty(database: Database, url: Secret) -> AsyncIterator[Database]:
    """The same database for who does not wait long."""
    async with Database.open(url, "hasty", SHORT) as opened:
        yield opened


@pytest.fixture
async def database(url: Secret) -> AsyncIterator[Database]:
    async with Database.open(url, "test", LIMITS) as opened:
        async with opened.transaction() as connection:
            await connection.execute(text("CREATE TABLE things (id int PRIMARY KEY, name text)"))
        yield opened


async def names(database: Database) -> list[str]:
    async with database.reading() as connection:
        return list((await connection.execute(text("SELECT name FROM things ORDER BY id"))).scalars())


async def add(database: Database, number: int, name: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO things VALUES (:id, :name)"), {"id": number, "name": name})


async def test_a_transaction_is_kept_when_its_block_ends(database):
    await add(database, 1, "a")

    assert ["a"] == await names(database)


async def test_a_transaction_is_undone_when_its_block_raises(database):
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO things VALUES (1, 'a')"))
            raise ZeroDivisionError

    assert [] == await names(database)


async def test_a_violated_constraint_passes_as_it_is(database):
    await add(database, 1, "a")

    with pytest.raises(IntegrityError):
        await add(database, 1, "b")


async def test_a_wrong_statement_passes_as_it_is_and_shows_no_values(database):
    with pytest.raises(ProgrammingError) as caught:
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "canary-7f3a"})

    assert "canary-7f3a" not in str(caught.value)


async def test_no_more_connections_are_made_than_allowed(url):
    async with (
        Database.open(url, "test", DatabaseLimits(connections=2, wait_seconds=1.5)) as database,
        database.reading(),
        database.reading(),
    ):
        with pytest.raises(StoreUnavailable):
            async with database.reading():
                pass


async def test_a_statement_that_takes_too_long_is_ended(hasty):
    with pytest.raises(StoreUnavailable):
        async with hasty.transaction() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))


async def test_a_lock_that_is_not_had_in_time_is_a_conflict(database, url):
    limits = DatabaseLimits(connections=1, wait_seconds=10, lock_seconds=0.2)
    await add(database, 1, "a")

    with pytest.raises(Conflict):
        async with (
            Database.open(url, "hasty", limits) as hasty,
            database.transaction() as holder,
            hasty.transaction() as other,
        ):
            await holder.execute(text("UPDATE things SET name = 'b' WHERE id = 1"))
            await other.execute(text("UPDATE things SET name = 'c' WHERE id = 1"))


async def test_a_deadlock_is_a_conflict_for_one_of_the_two(url):
    limits = DatabaseLimits(connections=2, lock_seconds=10)
    async with Database.open(url, "test", limits) as database:
        async with database.transaction() as connection:
            await connection.execute(text("CREATE TABLE things (id int PRIMARY KEY, name text)"))
        await add(database, 1, "a")
        await add(database, 2, "b")
        both_have_one = asyncio.Barrier(2)

        async def take(first: int, second: int) -> None:
            async with database.transaction() as connection:
                for number in (first, second):
                    await connection.execute(text("UPDATE things SET name = '' WHERE id = :id"), {"id": number})
                    if number == first:
                        await both_have_one.wait()

        results = await asyncio.gather(take(1, 2), take(2, 1), return_exceptions=True)

    assert [Conflict] == [type(result) for result in results if result is not None]


async def test_an_idle_transaction_is_ended_by_the_server(url):
    limits = DatabaseLimits(connections=1, idle_transaction_seconds=0.1)
    async with Database.open(url, "test", limits) as database, Database.open(url, "watcher") as watcher:
        with pytest.raises(StoreUnavailable):
            async with database.transaction() as connection:
                pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
                await gone(watcher, pid)
                await connection.execute(text("SELECT 1"))


async def test_a_killed_connection_is_told_and_the_next_one_works(database, url):
    with pytest.raises(StoreUnavailable):
        async with database.transaction() as connection:
            await kill_others(url)
            await connection.execute(text("SELECT 1"))

    assert [] == await names(database)


async def test_a_database_that_is_not_there_is_unavailable():
    async with Database.open(Secret("postgresql://nobody@127.0.0.1:1/nothing"), "test", LIMITS) as database:
        with pytest.raises(StoreUnavailable):
            await database.ping()


async def test_a_database_that_stops_and_comes_back_is_found_again(durable_postgres: PostgresProgram):
    url = Secret(durable_postgres.empty_database("ingest").admin_url)
    async with Database.open(url, "test", LIMITS) as database:
        await database.ping()
        durable_postgres.running.kill()
        # What the killed server left behind answers until it notices.
        with pytest.raises(StoreUnavailable):
            async with asyncio.timeout(30):
                while True:
                    await database.ping()
        durable_postgres.running.restart()
        await answering(database)


async def test_the_settings_of_a_connection_are_the_bounds(url):
    limits = DatabaseLimits(connections=1, wait_seconds=10, statement_seconds=9.5, lock_seconds=0.2)
    async with Database.open(url, "test", limits) as database, database.reading() as connection:
        shown = await connection.execute(
            text("SELECT name, setting FROM pg_settings WHERE name LIKE '%timeout' OR name = 'application_name'")
        )
        settings = dict(shown.all())

    assert ("test", "9500", "200", "30000") == (
        settings["application_name"],
        settings["statement_timeout"],
        settings["lock_timeout"],
        settings["idle_in_transaction_session_timeout"],
    )


async def test_the_raw_pool_has_the_same_bounds(url):
    async with open_pool(url, "raw", LIMITS) as pool:
        with store_errors():
            assert "raw" == await pool.fetchval("SHOW application_name")
            assert ("20s", "15s") == (
                await pool.fetchval("SHOW statement_timeout"),
                await pool.fetchval("SHOW lock_timeout"),
            )
    async with open_pool(url, "raw", DatabaseLimits(connections=2, wait_seconds=10, statement_seconds=2)) as pool:
        with pytest.raises(StoreUnavailable), store_errors():
            await pool.fetchval("SELECT pg_sleep(30)")
        with pytest.raises(asyncpg.UndefinedTableError), store_errors():
            await pool.fetchval("SELECT * FROM nowhere")
        async with pool.acquire(), pool.acquire():
            with pytest.raises(StoreUnavailable), store_errors():
                await pool.acquire(timeout=0.05)


async def test_the_raw_pool_tells_a_killed_connection_and_goes_on(url):
    async with open_pool(url, "raw", LIMITS) as pool:
        with pytest.raises(StoreUnavailable), store_errors():
            async with pool.acquire() as connection:
                await kill_others(url)
                await connection.fetchval("SELECT 1")
        assert 1 == await pool.fetchval("SELECT 1")


async def test_a_wrong_use_of_the_raw_pool_is_our_fault_and_not_the_databases(url):
    async with open_pool(url, "raw", LIMITS) as pool:
        with pytest.raises(asyncpg.InterfaceError), store_errors():
            await pool.fetchval("SELECT $1::int", 1, 2)


async def kill_others(url: Secret) -> None:
    """Ends every connection to the database but the one that asks."""
    connection = await asyncpg.connect(url.reveal())
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


async def gone(watcher: Database, pid: int) -> None:
    """Waits until a backend has ended."""
    async with asyncio.timeout(30):
        while True:
            async with watcher.reading() as connection:
                found = await connection.execute(text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid})
                if found.first() is None:
                    return


async def answering(database: Database) -> None:
    """Waits until the database answers."""
    async with asyncio.timeout(40):
        while True:
            try:
                await database.ping()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_frozen_server_does_not_keep_the_pool_from_closing(url: Secret) -> None:
    async with asyncio.timeout(40):
        async with open_pool(url, "test", LIMITS) as pool:
            backend = await pool.fetchval("SELECT pg_backend_pid()")
            os.kill(backend, signal.SIGSTOP)
        os.kill(backend, signal.SIGCONT)

    with pytest.raises(asyncpg.InterfaceError):
        await pool.fetchval("SELECT 1")
