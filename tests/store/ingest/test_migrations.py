"""The schema goes forward, back, and is what the code says."""

import asyncpg
from sqlalchemy import inspect
from sqlalchemy.engine import Connection

from services.ingest.migrate import migrations
from services.ingest.tables import metadata
from services.meshkit.db import Database
from services.meshkit.secret import Secret
from tests.programs.postgres import PostgresProgram, TestDatabase


def described(connection: Connection) -> dict[str, dict[str, tuple[str, bool]]]:
    found = inspect(connection)
    return {
        table: {
            column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(table, "ingest")
        }
        for table in found.get_table_names("ingest")
        if table != "alembic_version" and not table.startswith("worked_items_")
    }


def expected(connection: Connection) -> dict[str, dict[str, tuple[str, bool]]]:
    return {
        table.name: {
            column.name: (column.type.compile(connection.dialect), bool(column.nullable)) for column in table.columns
        }
        for table in metadata.tables.values()
    }


async def test_the_tables_are_what_the_code_says(ingest_database: TestDatabase) -> None:
    async with (
        Database.open(Secret(ingest_database.url), "test") as database,
        database.engine.connect() as connection,
    ):
        found = await connection.run_sync(described)
        wanted = await connection.run_sync(expected)

    assert {name: sorted(wanted[name]) for name in wanted} == {name: sorted(found[name]) for name in found}
    for name in wanted:
        assert {column: is_null for column, (_, is_null) in wanted[name].items()} == {
            column: is_null for column, (_, is_null) in found[name].items()
        }


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
