"""The tenant leads each key and each statement, save those that are listed with a reason."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import pytest

from tests.programs.postgres import TestDatabase
from tests.store.sql_sources import statements
from tests.store.tenant_exceptions import KEYS, STATEMENTS, WITHOUT_TENANT, names

_SCHEMAS = ("vault", "ingest", "processor", "delivery", "workflows")
_RELATIONS = """
    SELECT n.nspname || '.' || c.relname AS name, EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id' AND NOT attisdropped) AS has_tenant
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname <> 'alembic_version'
"""
_UNIQUE = """
    SELECT n.nspname || '.' || i.relname AS name, n.nspname || '.' || c.relname AS of_table,
        (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = x.indkey[0]) AS leader
    FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND x.indisunique AND NOT c.relispartition
"""
_TABLE = re.compile(rf"\b(?:{'|'.join(_SCHEMAS)})\.\w+")
_NAMES_TENANT = re.compile(
    r"\btenant_id(::text)? (= (?!(\w+\.)?tenant_id)|IN \()|\bINSERT INTO [\w.]+( AS \w+)?\s*\([^)]*\btenant_id\b"
)
"""A comparison of two columns joins tables and chooses no tenant. One comparison is enough for a whole text."""


@dataclass(frozen=True)
class Keys:
    """The keys of the migrated schemas.

    Args:
        tables: For each table, whether it has a tenant.
        leaders: For each unique index of a table with a tenant, the first column.
    """

    tables: dict[str, bool]
    leaders: dict[str, str]


@pytest.fixture
async def keys(
    token_vault_database: TestDatabase,
    ingest_database: TestDatabase,
    processor_database: TestDatabase,
    delivery_database: TestDatabase,
    workflows_database: TestDatabase,
) -> Keys:
    tables: dict[str, bool] = {}
    leaders: dict[str, str] = {}
    for database in (token_vault_database, ingest_database, processor_database, delivery_database, workflows_database):
        connection = await asyncpg.connect(database.url)
        tables |= {row["name"]: row["has_tenant"] for row in await connection.fetch(_RELATIONS, _SCHEMAS)}
        unique = await connection.fetch(_UNIQUE, _SCHEMAS)
        leaders |= {row["name"]: row["leader"] for row in unique if tables.get(row["of_table"])}
        await connection.close()
    return Keys(tables, leaders)


def unscoped(found: Sequence[tuple[str, str]], tables: dict[str, bool]) -> set[str]:
    """Name the statements over tables with a tenant that compare no `tenant_id` and write none."""
    touching = [(name, text) for name, text in found if any(tables.get(table) for table in _TABLE.findall(text))]
    return {name for name, text in touching if not _NAMES_TENANT.search(text)}


async def test_the_tenant_leads_each_key_and_each_statement_save_the_listed_ones(keys: Keys) -> None:
    found = list(statements())

    assert set(_SCHEMAS) == {table.partition(".")[0] for table in keys.tables}
    assert sorted(names(WITHOUT_TENANT)) == sorted(table for table, has_tenant in keys.tables.items() if not has_tenant)
    assert sorted(names(KEYS)) == sorted(key for key, leader in keys.leaders.items() if leader != "tenant_id")
    assert sorted(names(STATEMENTS)) == sorted(unscoped(found, keys.tables))


def test_a_statement_that_forgets_the_tenant_is_found() -> None:
    tables = {"ingest.items": True, "ingest.cursors": False}
    forgetful = "DELETE FROM ingest.items WHERE item_id = $1"
    scoped = "DELETE FROM ingest.items WHERE tenant_id = $1 AND item_id = $2"
    written = "INSERT INTO ingest.items (item_id, tenant_id) VALUES ($1, $2)"
    joined = "SELECT * FROM ingest.items JOIN ingest.tenants USING (tenant_id)"
    compared = "SELECT FROM ingest.items i WHERE EXISTS (SELECT FROM ingest.tenants t WHERE t.tenant_id = i.tenant_id)"
    other = "SELECT FROM ingest.cursors"

    found = [("a", forgetful), ("b", scoped), ("c", written), ("d", joined), ("e", compared), ("f", other)]
    assert {"a", "d", "e"} == unscoped(found, tables)


def test_statements_are_found_in_constants_and_functions_of_the_services() -> None:
    found = {name for name, _ in statements()}

    assert {"processor/mail/store/threads:_READ", "ingest/store/upkeep:_OLD_DEAD_LETTERS"} <= found
    assert {"processor/outbox/store/uploads:lock", "ingest/erasing:_STATUS"} <= found
