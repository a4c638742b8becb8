"""The migrations since the first release expand: releases that know less read and write what stands there.

Each step is made with the data of the first release in the schema, taken back, and made once more.
"""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.ingest import migrate as ingest
from services.meshkit.migrations import Migrations
from services.meshkit.schema import VERSION_TABLE, Schema
from services.meshkit.secret import Secret
from services.processor import migrate as processor
from services.token_vault import migrate as token_vault
from tests.programs.postgres import PostgresProgram
from tests.store.test_upgrade import DUMPS

SERVICES = {"vault": ("token_vault", token_vault), "ingest": ("ingest", ingest), "processor": ("processor", processor)}
_COLUMNS = """
    SELECT table_name || '.' || column_name, json_build_array(data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = $1 ORDER BY 1
"""
_TABLES = "SELECT c.relname FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p')"
Columns = dict[str, list[Any]]
Rows = dict[str, list[str]]


@asynccontextmanager
async def of_the_first_release(
    postgres: PostgresProgram, dump: str
) -> AsyncIterator[tuple["asyncpg.Connection[asyncpg.Record]", Migrations, list[str]]]:
    """Give a database with the data of the first release, its history, and the revisions from there on."""
    service, module = SERVICES[dump]
    database = postgres.empty_database(service)
    connection = await asyncpg.connect(database.url)
    await connection.execute((DUMPS / f"{dump}.sql").read_text())
    history: Migrations = module.migrations(Secret(database.url))
    try:
        yield connection, history, _from(module.SCHEMA, await history.current())
    finally:
        await connection.close()
        postgres.drop(database)


@pytest.mark.parametrize("dump", SERVICES)
async def test_each_step_since_the_first_release_goes_back_without_loss(postgres: PostgresProgram, dump: str) -> None:
    lost = {}
    async with of_the_first_release(postgres, dump) as (connection, history, revisions):
        for earlier, later in itertools.pairwise(revisions):
            columns, rows = await _columns(connection, dump), await _rows(connection, dump)
            await history.upgrade(later)
            await history.downgrade(earlier)
            assert await history.current() == earlier
            left = await _columns(connection, dump)
            if columns != left:
                lost[later] = dict(_changed(columns, left))
            assert rows == await _rows(connection, dump), later
            await history.upgrade(later)
        assert await history.current() == history.head

    assert {} == lost
    assert len(revisions) > 1


@pytest.mark.parametrize("dump", SERVICES)
async def test_no_step_since_the_first_release_takes_a_column_from_the_release_before(
    postgres: PostgresProgram, dump: str
) -> None:
    async with of_the_first_release(postgres, dump) as (connection, history, _):
        before = await _columns(connection, dump)
        await history.upgrade()
        after = await _columns(connection, dump)

    tables = {name.partition(".")[0] for name in before}
    kept = {name: after.get(name, [])[:1] for name in before}
    demanded = {
        name
        for name, (_, is_nullable, default) in after.items()
        if name.partition(".")[0] in tables and name not in before and is_nullable == "NO" and default is None
    }
    assert {name: kind[:1] for name, kind in before.items()} == kept
    assert set() == demanded


def _from(schema: Schema, first: str) -> list[str]:
    names = sorted(file.name.partition("_")[0] for file in Path(schema.directory, "versions").glob("[0-9]*_*.py"))
    return names[names.index(first) :]


async def _columns(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> Columns:
    return {name: json.loads(kind) for name, kind in await connection.fetch(_COLUMNS, schema)}


async def _rows(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> Rows:
    tables = [str(row[0]) for row in await connection.fetch(_TABLES, schema)]
    found = {}
    for table in sorted({*tables} - {VERSION_TABLE}):
        statement = f'SELECT to_jsonb(one)::text AS text FROM ONLY {schema}."{table}" AS one ORDER BY 1'  # noqa: S608 - names of the catalogue
        found[table] = [str(row["text"]) for row in await connection.fetch(statement)]
    return found


def _changed(before: Columns, after: Columns) -> list[tuple[str, tuple[Any, Any]]]:
    names = sorted({*before, *after})
    return [(name, (before.get(name), after.get(name))) for name in names if before.get(name) != after.get(name)]
