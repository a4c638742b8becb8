"""The removal of a tenant's rows on a real PostgreSQL: beside other erasers, writers and failures."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.meshkit import db
from services.meshkit.db import DatabaseLimits, Pool, open_pool
from services.meshkit.erasing import Plan, erase_each, erase_rows
from services.meshkit.errors import Conflict
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from tests.programs.postgres import PostgresProgram

LIMITS = DatabaseLimits(connections=6, wait_seconds=10, statement_seconds=20, lock_seconds=15)
PLAN = Plan("ingest")
ROWS = 600
"""More than one batch, less than two."""
_MARKS = """
    CREATE TABLE ingest.erased_tenants (tenant_id uuid PRIMARY KEY, begun_at timestamptz NOT NULL DEFAULT now(),
        removed jsonb NOT NULL DEFAULT '{}'::jsonb)
"""
SMALL = {"authorization_flows", "lifecycle_notifications", "subscriptions", "tenant_changes"}
"""Tables of a few rows for each tenant, or whose rows are kept for days: reading them whole is quick."""
_WITHOUT_INDEX = """
    SELECT c.oid::regclass::text AS name FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
    WHERE c.relnamespace::regnamespace::text = ANY(array['delivery', 'ingest', 'processor', 'vault']::text[])
        AND c.relkind IN ('r', 'p') AND NOT EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indpred IS NULL)
"""
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"


@pytest.fixture
async def pool(postgres: PostgresProgram) -> AsyncIterator[Pool]:
    url = Secret(postgres.empty_database("ingest").admin_url)
    async with open_pool(url, "test", LIMITS) as opened:
        await opened.execute(_MARKS)
        for table in ("fences", "things"):
            await opened.execute(f"CREATE TABLE ingest.{table} (tenant_id uuid, number int)")
        yield opened


async def fill(pool: Pool, tenant: str, table: str = "things", rows: int = ROWS) -> None:
    await pool.execute(f"INSERT INTO ingest.{table} SELECT $1, n FROM generate_series(1, $2::int) n", tenant, rows)  # noqa: S608


async def left(pool: Pool, tenant: str, table: str = "things") -> int:
    return int(await pool.fetchval(f"SELECT count(*) FROM ingest.{table} WHERE tenant_id = $1", tenant))  # noqa: S608


async def told(pool: Pool, tenant: str) -> set[str]:
    """Return the tables whose statistics have a tenant's id."""
    rows = await pool.fetch(
        "SELECT tablename FROM pg_stats WHERE schemaname = 'ingest' AND strpos(most_common_vals::text, $1) > 0", tenant
    )
    return {row["tablename"] for row in rows}


async def until_somebody_waits(pool: Pool) -> None:
    async with asyncio.timeout(30):
        while not await pool.fetchval(_WAITING):
            await asyncio.sleep(0.02)


async def test_a_row_that_is_changed_while_the_eraser_waits_for_it_is_removed_too(pool: Pool) -> None:
    tenant = new_id()
    await fill(pool, tenant)
    async with db.transaction(pool) as connection:
        await connection.execute("UPDATE ingest.things SET number = -1 WHERE number = 1")
        erasing = asyncio.create_task(erase_rows(pool, PLAN, tenant))
        await until_somebody_waits(pool)

    assert {"things": ROWS} == await erasing
    assert 0 == await left(pool, tenant)


async def test_no_statistics_keep_values_of_the_erased_tenant(pool: Pool) -> None:
    erased, kept = new_id(), new_id()
    await fill(pool, erased, "fences")  # is empty afterwards: ANALYZE alone would leave its statistics
    await fill(pool, erased)
    await fill(pool, kept)
    await pool.execute("ANALYZE ingest.fences, ingest.things")
    assert {"fences", "things"} == await told(pool, erased)

    await erase_rows(pool, PLAN, erased)

    assert set() == await told(pool, erased)
    assert {"things"} == await told(pool, kept)


async def test_a_row_that_comes_behind_the_eraser_is_removed_by_a_further_pass(pool: Pool) -> None:
    tenant = new_id()
    await fill(pool, tenant, rows=1)
    async with db.transaction(pool) as connection:
        await connection.execute("UPDATE ingest.things SET number = -1")
        await connection.execute("INSERT INTO ingest.fences VALUES ($1, 1)", tenant)  # `fences` comes before `things`
        erasing = asyncio.create_task(erase_rows(pool, PLAN, tenant))
        await until_somebody_waits(pool)

    assert {"fences": 1, "things": 1} == await erasing
    assert 0 == await left(pool, tenant, "fences")


async def test_of_two_erasers_none_confirms_what_the_other_has_not_removed_yet(pool: Pool) -> None:
    tenant = new_id()
    await fill(pool, tenant)
    async with db.transaction(pool) as connection:
        await connection.execute("UPDATE ingest.things SET number = -1 WHERE number = 1")
        first = asyncio.create_task(erase_rows(pool, PLAN, tenant))
        await until_somebody_waits(pool)
        with pytest.raises(Conflict):
            await erase_rows(pool, PLAN, tenant)
        assert ROWS == await left(pool, tenant)

    assert {"things": ROWS} == await first
    assert {"things": ROWS} == await erase_rows(pool, PLAN, tenant)


async def test_the_counts_of_an_interrupted_erasure_are_those_of_all_its_calls(pool: Pool) -> None:
    tenant = new_id()
    await fill(pool, tenant)
    async with db.transaction(pool) as connection:
        await connection.execute("UPDATE ingest.things SET number = -1 WHERE number = $1", ROWS)
        crashing = asyncio.create_task(erase_rows(pool, PLAN, tenant))
        await until_somebody_waits(pool)  # behind the first batch
        crashing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await crashing
        assert 0 < await left(pool, tenant) < ROWS

    assert {"things": ROWS} == await erase_rows(pool, PLAN, tenant)


async def test_a_table_that_comes_first_is_empty_before_the_others_are_touched(pool: Pool) -> None:
    tenant = new_id()
    await fill(pool, tenant, "fences")
    await fill(pool, tenant, "things", 1)
    async with db.transaction(pool) as connection:
        await connection.execute("UPDATE ingest.things SET number = -1")
        erasing = asyncio.create_task(erase_rows(pool, Plan("ingest", first=["things"]), tenant))
        await until_somebody_waits(pool)
        assert ROWS == await left(pool, tenant, "fences")

    assert {"fences": ROWS, "things": 1} == await erasing


@pytest.mark.parametrize("service", ["delivery", "ingest", "processor", "token_vault", "workflows"])
async def test_each_table_finds_the_rows_of_a_tenant_by_an_index(postgres: PostgresProgram, service: str) -> None:
    database = postgres.migrated_database(service)
    async with open_pool(Secret(database.url), "test", LIMITS) as opened:
        found = await opened.fetch(_WITHOUT_INDEX)
    postgres.drop(database)

    assert set() == {row["name"] for row in found} - SMALL


async def test_a_tenant_that_fails_stops_none_of_those_behind_it() -> None:
    done = []

    async def erase(tenant: str) -> bool:
        if tenant == "busy":
            raise Conflict
        if tenant == "broken":
            raise ZeroDivisionError
        done.append(tenant)
        return True

    with pytest.raises(ZeroDivisionError):
        await erase_each(["broken", "busy", "good"], erase, str)
    assert ["good"] == done
    assert 1 == await erase_each(["busy", "good"], erase, str)
