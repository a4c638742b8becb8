"""The schema migrates forward and back, and every statement of the store fits it."""

import asyncpg

from services.ingest import store
from services.ingest.migrate import SCHEMA, migrations
from services.meshkit.secret import Secret
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.statements import statements_of


async def test_every_statement_fits_the_migrated_schema(ingest_database: TestDatabase) -> None:
    connection = await asyncpg.connect(ingest_database.url)
    refused = {}
    statements = dict(statements_of(store))
    for name, statement in statements.items():
        try:
            await connection.prepare(statement)
        except asyncpg.PostgresError as exc:
            refused[name] = str(exc)
    await connection.close()

    assert {} == refused
    assert {
        "services.ingest.store.items._ACCEPT_ITEMS",
        "services.ingest.store.claims._CLAIM",
        "services.ingest.store.subscription_leases._ACTIVE",
    } <= set(statements)


async def test_the_schema_migrates_forward_back_and_forward_again(postgres: PostgresProgram) -> None:
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
    await SCHEMA.check(Secret(made.url))
    postgres.drop(made)
