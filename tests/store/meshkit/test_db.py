"""The database pool against a real PostgreSQL: bounds, timeouts, and the translation of failures."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.meshkit import db
from services.meshkit.db import DatabaseLimits, Pool, open_pool
from services.meshkit.db_errors import store_errors
from services.meshkit.errors import Conflict, StoreUnavailable
from services.meshkit.secret import Secret
from tests.programs.postgres import PostgresProgram

LIMITS = DatabaseLimits(connections=2, wait_seconds=10, statement_seconds=20, lock_seconds=15)
# A wait in vain shows here that there is a bound; a wait that has to succeed is not held to it.
SHORT = DatabaseLimits(connections=2, wait_seconds=0.3, statement_seconds=0.3, lock_seconds=0.2)


@pytest.fixture
def url(postgres: PostgresProgram) -> Secret:
    return Secret(postgres.empty_database("ingest").admin_url)


@pytest.fixture
async def pool(url: Secret) -> AsyncIterator[Pool]:
    async with open_pool(url, "test", LIMITS) as opened:
        await opened.execute("CREATE TABLE things (id int PRIMARY KEY, name text)")
        yield opened


async def names(pool: Pool) -> list[str]:
    async with db.connection(pool) as connection:
        return [row["name"] for row in await connection.fetch("SELECT name FROM things ORDER BY id")]


async def add(pool: Pool, number: int, name: str) -> int:
    async with db.transaction(pool) as connection:
        return db.affected(await connection.execute("INSERT INTO things VALUES ($1, $2)", number, name))


async def test_a_transaction_is_kept_when_its_block_ends(pool):
    await add(pool, 1, "a")

    assert ["a"] == await names(pool)


async def test_a_transaction_is_undone_when_its_block_raises(pool):
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(pool) as connection:
            await connection.execute("INSERT INTO things VALUES (1, 'a')")
            raise ZeroDivisionError

    assert [] == await names(pool)


async def test_the_statements_of_a_lent_connection_stand_alone(pool):
    with pytest.raises(ZeroDivisionError):
        async with db.connection(pool) as connection:
            await connection.execute("INSERT INTO things VALUES (1, 'a')")
            raise ZeroDivisionError

    assert ["a"] == await names(pool)


async def test_a_statement_reports_the_number_of_rows_that_it_changed(pool):
    assert 1 == await add(pool, 1, "a") == await add(pool, 2, "b")

    async with db.connection(pool) as connection:
        assert 2 == db.affected(await connection.execute("UPDATE things SET name = 'c'"))
        assert 0 == db.affected(await connection.execute("DELETE FROM things WHERE id = 3"))


async def test_a_violated_constraint_passes_unchanged(pool):
    await add(pool, 1, "a")

    with pytest.raises(asyncpg.UniqueViolationError):
        await add(pool, 1, "b")


async def test_a_faulty_statement_passes_unchanged_and_shows_no_values(pool):
    with pytest.raises(asyncpg.UndefinedTableError) as caught:
        async with db.transaction(pool) as connection:
            await connection.execute("INSERT INTO nowhere VALUES ($1)", "canary-7f3a")

    assert "canary-7f3a" not in str(caught.value)


async def test_the_pool_makes_no_more_connections_than_allowed(url):
    async with (
        open_pool(url, "test", DatabaseLimits(connections=2)) as pool,
        db.connection(pool),
        db.connection(pool),
    ):
        with pytest.raises(StoreUnavailable):
            async with db.connection(pool, wait_seconds=0.3):
                pass
        with pytest.raises(StoreUnavailable):
            async with db.transaction(pool, wait_seconds=0.3):
                pass


async def test_a_statement_that_takes_too_long_is_ended(url):
    async with open_pool(url, "hasty", SHORT) as hasty:
        with pytest.raises(StoreUnavailable):
            async with db.transaction(hasty, wait_seconds=10) as connection:
                await connection.execute("SELECT pg_sleep(30)")


async def test_a_lock_that_is_not_free_in_time_is_a_conflict(pool, url):
    limits = DatabaseLimits(connections=1, wait_seconds=10, lock_seconds=0.2)
    await add(pool, 1, "a")

    with pytest.raises(Conflict):
        async with (
            open_pool(url, "hasty", limits) as hasty,
            db.transaction(pool, wait_seconds=10) as holder,
            db.transaction(hasty, wait_seconds=10) as other,
        ):
            await holder.execute("UPDATE things SET name = 'b' WHERE id = 1")
            await other.execute("UPDATE things SET name = 'c' WHERE id = 1")


async def test_a_deadlock_is_a_conflict_for_one_of_the_two(pool):
    await add(pool, 1, "a")
    await add(pool, 2, "b")
    both_have_one = asyncio.Barrier(2)

    async def take(first: int, second: int) -> None:
        async with db.transaction(pool, wait_seconds=10) as connection:
            for number in (first, second):
                await connection.execute("UPDATE things SET name = '' WHERE id = $1", number)
                if number == first:
                    await both_have_one.wait()

    results = await asyncio.gather(take(1, 2), take(2, 1), return_exceptions=True)

    assert [Conflict] == [type(result) for result in results if result is not None]


async def test_an_idle_transaction_is_ended_by_the_server(url):
    limits = DatabaseLimits(connections=1, wait_seconds=10, idle_transaction_seconds=0.1)
    async with open_pool(url, "test", limits) as pool, open_pool(url, "watcher", LIMITS) as watcher:
        with pytest.raises(StoreUnavailable):
            async with db.transaction(pool, wait_seconds=10) as connection:
                await gone(watcher, await connection.fetchval("SELECT pg_backend_pid()"))
                await connection.execute("SELECT 1")


async def test_a_killed_connection_is_reported_and_the_next_one_works(pool, url):
    with pytest.raises(StoreUnavailable):
        async with db.transaction(pool) as connection:
            await kill_others(url)
            await connection.execute("SELECT 1")

    assert [] == await names(pool)


async def test_a_database_that_does_not_exist_is_unavailable():
    async with open_pool(Secret("postgresql://nobody@127.0.0.1:1/nothing"), "test", LIMITS) as pool:
        with pytest.raises(StoreUnavailable):
            await db.ping(pool)


async def test_a_database_that_stops_and_comes_back_is_found_again(durable_postgres: PostgresProgram):
    url = Secret(durable_postgres.empty_database("ingest").admin_url)
    async with open_pool(url, "test", LIMITS) as pool:
        await db.ping(pool)
        durable_postgres.running.kill()
        # The backends of the killed server answer until they notice.
        with pytest.raises(StoreUnavailable):
            async with asyncio.timeout(30):
                while True:
                    await db.ping(pool)
        durable_postgres.running.restart()
        await answering(pool)


async def test_the_settings_of_a_connection_are_the_bounds(url):
    limits = DatabaseLimits(connections=1, wait_seconds=10, statement_seconds=9.5, lock_seconds=0.2)
    async with open_pool(url, "test", limits) as pool, db.connection(pool) as connection:
        shown = await connection.fetch(
            "SELECT name, setting FROM pg_settings WHERE name LIKE '%timeout' OR name = 'application_name'"
        )
        settings = {row["name"]: row["setting"] for row in shown}

    assert ("test", "9500", "200", "30000") == (
        settings["application_name"],
        settings["statement_timeout"],
        settings["lock_timeout"],
        settings["idle_in_transaction_session_timeout"],
    )


async def test_direct_use_of_the_pool_has_the_same_bounds(url):
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


async def test_direct_use_of_the_pool_reports_a_killed_connection_and_goes_on(url):
    async with open_pool(url, "raw", LIMITS) as pool:
        with pytest.raises(StoreUnavailable), store_errors():
            async with pool.acquire() as connection:
                await kill_others(url)
                await connection.fetchval("SELECT 1")
        assert 1 == await pool.fetchval("SELECT 1")


def test_a_connection_whose_server_has_said_farewell_counts_as_lost():
    with pytest.raises(StoreUnavailable), store_errors():
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")


async def test_a_wrong_use_of_the_pool_is_our_fault_and_not_the_databases(url):
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


async def gone(watcher: Pool, pid: int) -> None:
    """Waits until a backend has ended."""
    async with asyncio.timeout(30):
        while await watcher.fetchval("SELECT 1 FROM pg_stat_activity WHERE pid = $1", pid) is not None:
            pass


async def answering(pool: Pool) -> None:
    """Waits until the database answers."""
    async with asyncio.timeout(40):
        while True:
            try:
                await db.ping(pool)
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
