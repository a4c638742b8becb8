"""The pool while its server restarts, only reads, is full, freezes, or fails over to a standby: on real servers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from services.meshkit import db, db_lending
from services.meshkit.db import DatabaseLimits, Pool, open_pool
from services.meshkit.errors import StoreUnavailable
from services.meshkit.secret import Secret
from tests.programs.postgres import PostgresProgram, start_postgres
from tests.programs.standby import Address, Standby, order

pytestmark = pytest.mark.timeout(120)
CONNECTIONS = 3
# A program ends with the thread that started it, so this one lasts longer than a test.
ASIDE = ThreadPoolExecutor(max_workers=1)
LIMITS = DatabaseLimits(connections=CONNECTIONS, wait_seconds=10, statement_seconds=20)


@pytest.fixture(scope="module")
def server(short_folder: Path) -> Iterator[PostgresProgram]:
    program = start_postgres(short_folder / "fail", is_careless=False)
    yield program
    program.running.stop()


@pytest.fixture
def url(server: PostgresProgram) -> str:
    return server.empty_database("ingest").admin_url


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    async with open_pool(Secret(url), "test", LIMITS) as opened:
        await opened.execute("CREATE TABLE things (id serial PRIMARY KEY, name text)")
        await fill(opened)
        yield opened


async def fill(pool: Pool) -> list[int]:
    """Have the pool open all its connections, and return their backends."""
    loans = [await db_lending.borrow(pool, 10) for _ in range(CONNECTIONS)]
    backends = [loan.connection.get_server_pid() for loan in loans]
    for loan in loans:
        await loan.give_back()
    return backends


async def write(pool: Pool, name: str = "a") -> None:
    async with db.transaction(pool, 10) as connection:
        await connection.execute("INSERT INTO things (name) VALUES ($1)", name)


async def aside(work: Callable[[], object]) -> None:
    """Do blocking work beside the loop, so that the pool notices meanwhile whatever it can notice."""
    await asyncio.get_running_loop().run_in_executor(ASIDE, work)


async def until_refused(pool: Pool) -> None:
    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(60):
            while True:
                await db.ping(pool)


async def until_serving(pool: Pool) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(StoreUnavailable):
                return await db.ping(pool)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("end", ["stop", "kill", "quit"])
async def test_no_call_fails_once_a_restarted_server_serves_again(
    pool: Pool, server: PostgresProgram, end: str
) -> None:
    def restart() -> None:
        # "quit" is the immediate shutdown: no checkpoint, and recovery at the next start.
        server.running.send(signal.SIGQUIT) if end == "quit" else getattr(server.running, end)()
        server.running.restart()

    await aside(restart)

    for _ in range(2 * CONNECTIONS):
        await write(pool)


async def test_connections_that_an_administrator_ends_fail_no_later_call(pool: Pool, url: str) -> None:
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    await order(url, f"SELECT pg_terminate_backend(pid, 10000) {others}")

    for _ in range(2 * CONNECTIONS):
        await write(pool)


async def test_a_read_only_spell_is_unavailable_while_it_lasts_and_over_at_once(pool: Pool, url: str) -> None:
    await order(url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        await until_refused(pool)
        with pytest.raises(StoreUnavailable):
            await write(pool)
        with pytest.raises(StoreUnavailable):
            async with db.connection(pool) as connection:
                await connection.fetchval("SELECT 1")
    finally:
        await order(url, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")

    await until_serving(pool)
    for _ in range(2 * CONNECTIONS):
        await write(pool)


async def test_a_write_on_a_server_that_only_reads_drops_the_connection(pool: Pool) -> None:
    before = await fill(pool)
    with pytest.raises(StoreUnavailable):
        async with db.transaction(pool, 10) as connection:
            await connection.execute("SET TRANSACTION READ ONLY")
            await connection.execute("INSERT INTO things (name) VALUES ('a')")

    assert set(before).isdisjoint(await fill(pool))


async def test_a_connection_that_is_in_use_is_still_asked_whether_it_can_write(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_lending, "_TRUSTED_SECONDS", 0.5)
    used = await read_only_from_now_on(pool)

    async with asyncio.timeout(60):
        while True:  # often enough that an answer is always younger than the time of trust
            async with db.connection(pool, 10) as connection:
                if connection.get_server_pid() not in used:
                    break
            await asyncio.sleep(0.05)


async def read_only_from_now_on(pool: Pool) -> list[int]:
    """Make the sessions of the pool's connections read-only, as those to a standby are, and return their backends."""
    loans = [await db_lending.borrow(pool, 10) for _ in range(CONNECTIONS)]
    for loan in loans:
        await loan.connection.execute("SET default_transaction_read_only = on")
    backends = [loan.connection.get_server_pid() for loan in loans]
    for loan in loans:
        await loan.give_back()
    return backends


async def test_a_server_without_a_free_slot_is_unavailable_and_then_serves(url: str) -> None:
    async with open_pool(Secret(url), "late", LIMITS) as late:
        taken: list[asyncpg.Connection] = []
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while True:
                taken.append(await asyncpg.connect(url))
        with pytest.raises(StoreUnavailable) as refused:
            await db.ping(late)
        for connection in taken:
            connection.terminate()

        assert isinstance(refused.value.__cause__, asyncpg.TooManyConnectionsError)
        await until_serving(late)


async def test_a_frozen_server_costs_one_wait_and_not_one_for_each_connection(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_lending, "_TRUSTED_SECONDS", 0.0)
    frozen = await fill(pool)
    for backend in frozen:
        os.kill(backend, signal.SIGSTOP)
    try:
        # Its first check waits in vain; then all earlier connections are replaced without a wait.
        monkeypatch.setattr(db_lending, "_CHECK_SECONDS", 3.0)
        async with db.connection(pool, 9) as connection:
            assert connection.get_server_pid() not in frozen
        assert set(frozen).isdisjoint(await fill(pool))
    finally:
        for backend in frozen:
            os.kill(backend, signal.SIGCONT)


async def test_a_changed_table_under_a_prepared_statement_fails_one_transaction_at_most(pool: Pool, url: str) -> None:
    async def read() -> list[str]:
        async with db.transaction(pool, 10) as connection:
            return list((await connection.fetchrow("SELECT * FROM things LIMIT 1") or {}).keys())

    await write(pool)
    assert ["id", "name"] == await read()
    await order(url, "ALTER TABLE things ADD COLUMN size int")
    with suppress(StoreUnavailable):
        await read()

    for _ in range(2 * CONNECTIONS):
        assert ["id", "name", "size"] == await read()


@pytest.fixture
def standby(server: PostgresProgram, url: str, short_folder: Path) -> Iterator[Standby]:
    made = Standby(server.server, short_folder / "fs", {"hot_standby": "off"})
    yield made
    made.running.stop()


async def test_a_failover_to_a_standby_is_followed_and_told_truly(
    server: PostgresProgram, standby: Standby, pool: Pool, url: str, short_folder: Path
) -> None:
    address = Address(short_folder / "addr", server.server)
    async with open_pool(Secret(address.of(url)), "mesh", LIMITS) as mesh:
        await write(mesh, "before")
        assert len(await fill(mesh)) == CONNECTIONS
        written = "SELECT pg_current_wal_lsn()"
        end = await pool.fetchval(written)
        await caught_up(pool, end)

        # The standby does not even let readers in: 57P03.
        await aside(server.running.kill)
        address.lead_to(standby.server)
        await until_refused(mesh)
        # It lets readers in, but cannot write.
        configuration = standby.server.data / "postgresql.auto.conf"
        configuration.write_text(configuration.read_text().replace("hot_standby = 'off'", ""))
        await aside(standby.running.restart)
        for _ in range(CONNECTIONS):
            with pytest.raises(StoreUnavailable) as refused:
                await write(mesh)
        assert isinstance(refused.value.__cause__, asyncpg.TargetServerAttributeNotMatched)
        with pytest.raises(StoreUnavailable):
            await db.ping(mesh)

        await aside(standby.promote)
        await until_serving(mesh)
        await write(mesh, "after")
        async with db.connection(mesh) as connection:
            found = await connection.fetch("SELECT name FROM things ORDER BY id")
    await aside(server.running.restart)

    assert ["before", "after"] == [row["name"] for row in found]


async def caught_up(pool: Pool, end: object) -> None:
    """Wait until a standby has everything up to a position."""
    async with asyncio.timeout(60):
        while not await pool.fetchval("SELECT bool_or(flush_lsn >= $1) FROM pg_stat_replication", end):
            await asyncio.sleep(0.02)
