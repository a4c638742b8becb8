"""The schema migrates forward and back, and matches the tables."""

import asyncpg

from services.meshkit.secret import Secret
from services.workflows.migrate import SCHEMA, migrations
from services.workflows.tables import metadata
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.schemas import differences


async def test_the_migrated_schema_matches_the_tables(workflows_database: TestDatabase) -> None:
    assert [] == await differences(workflows_database, metadata, with_indexes=False)


async def test_migrating_goes_forward_back_and_forward_again(postgres: PostgresProgram) -> None:
    made = postgres.empty_database("workflows")
    history = migrations(Secret(made.url))
    await history.upgrade()
    await history.upgrade()
    await history.downgrade("base")
    connection = await asyncpg.connect(made.url)
    left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'workflows'")
    await connection.close()
    await history.upgrade()

    assert ["alembic_version"] == [row["tablename"] for row in left]
    await SCHEMA.check(Secret(made.url))
    postgres.drop(made)
