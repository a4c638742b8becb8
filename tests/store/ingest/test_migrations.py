"""The schema goes forward, back, and is what the code says."""

import asyncpg

from services.ingest.migrate import migrations
from services.ingest.tables import metadata
from services.meshkit.secret import Secret
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.schemas import differences


async def test_the_migrated_schema_is_what_the_tables_say(ingest_database: TestDatabase) -> None:
    assert [] == await differences(ingest_database, metadata, partitions=["worked_items_"], with_indexes=False)


async def test_migrating_goes_forward_back_and_forward_again(postgres: PostgresProgram) -> None:
    made = postgres.empty_database("ingest")
    history = migrations(Secret(made.url))

    await history.upgrade()
    await history.upgrade()
    await history.downgrade("base")
    connection = await asyncpg.connect(made.url)
    left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'ingest'")
    await connection.close()
    await history.upgrade()

    assert ["alembic_version"] == [row["tablename"] for row in left]
    await history.check()
    postgres.drop(made)
