"""The demands of a PostgreSQL that is distributed by tenant on the schemas, as far as SQL can tell.

The rules are those of Citus for tables distributed by a column (docs.citusdata.com, "Limitations" and "Creating and
Modifying Distributed Objects"): each unique key and each foreign key between distributed tables has the column, no
table has triggers or exclusions, and no statement locks rows of several tenants. No Citus runs here.
"""

from dataclasses import dataclass

import asyncpg
import pytest

from tests.programs.postgres import TestDatabase
from tests.store.distributed_needs import FOREIGN_KEYS, TRIGGERS, UNIQUE_KEYS
from tests.store.tenant_exceptions import names

_SCHEMAS = ("vault", "ingest", "processor", "delivery", "workflows")
_DISTRIBUTED = """
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
_UNIQUE_WITHOUT = f"""
    SELECT i.relnamespace::regnamespace || '.' || i.relname AS name
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indisunique AND x.indrelid IN ({_DISTRIBUTED}) AND NOT EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = x.indrelid AND a.attname = 'tenant_id' AND a.attnum = ANY (x.indkey::smallint[]))
"""  # noqa: S608 - our own constants
_FOREIGN_WITHOUT = f"""
    SELECT n.nspname || '.' || c.conname AS name FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid IN ({_DISTRIBUTED})
        AND c.confrelid IN ({_DISTRIBUTED}) AND NOT EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = c.conrelid AND a.attname = 'tenant_id' AND a.attnum = ANY (c.conkey))
"""  # noqa: S608
_TO_OTHERS = f"""
    SELECT n.nspname || '.' || c.conname AS name FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE c.contype = 'f' AND c.conparentid = 0 AND n.nspname = ANY ($1::text[])
        AND c.conrelid NOT IN ({_DISTRIBUTED}) AND c.confrelid IN ({_DISTRIBUTED})
"""  # noqa: S608
_TRIGGERS = f"SELECT tgname AS name FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN ({_DISTRIBUTED})"  # noqa: S608
_EXCLUSIONS = f"SELECT conname AS name FROM pg_constraint WHERE contype = 'x' AND conrelid IN ({_DISTRIBUTED})"  # noqa: S608


@dataclass(frozen=True)
class Needs:
    """The names that the catalogues have, by the rule that they break."""

    unique_keys: set[str]
    foreign_keys: set[str]
    from_others: set[str]
    triggers: set[str]
    exclusions: set[str]


@pytest.fixture
async def needs(
    token_vault_database: TestDatabase,
    ingest_database: TestDatabase,
    processor_database: TestDatabase,
    delivery_database: TestDatabase,
    workflows_database: TestDatabase,
) -> Needs:
    found = Needs(set(), set(), set(), set(), set())
    queries = (_UNIQUE_WITHOUT, _FOREIGN_WITHOUT, _TO_OTHERS, _TRIGGERS, _EXCLUSIONS)
    for database in (token_vault_database, ingest_database, processor_database, delivery_database, workflows_database):
        connection = await asyncpg.connect(database.url)
        for names_of, query in zip(vars(found).values(), queries, strict=True):
            names_of |= {row["name"] for row in await connection.fetch(query, _SCHEMAS)}
        await connection.close()
    return found


async def test_the_keys_that_a_database_distributed_by_tenant_refuses_are_listed(needs: Needs) -> None:
    assert sorted(names(UNIQUE_KEYS)) == sorted(needs.unique_keys)
    assert sorted(names(FOREIGN_KEYS)) == sorted(needs.foreign_keys | needs.from_others)
    assert sorted(names(TRIGGERS)) == sorted(needs.triggers)
    assert set() == needs.exclusions
