"""Whether a migrated schema is what a service's tables say."""

from collections.abc import Sequence

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.programs.postgres import TestDatabase


async def differences(
    database: TestDatabase, metadata: MetaData, *, partitions: Sequence[str] = (), with_indexes: bool = True
) -> list[object]:
    """Return the differences between the schema and the tables; none when they agree.

    Args:
        database: Migrated to the head.
        metadata: The service's tables, in its schema.
        partitions: How names of partitions begin; they are not in the tables.
        with_indexes: Whether the tables say which indexes there are.
    """

    def compared(connection: Connection) -> list[object]:
        def is_ours(name: str | None, kind: str, parents: object) -> bool:
            del parents
            if kind == "schema":
                return name == metadata.schema
            if kind == "table":
                return not (name or "").startswith(("alembic_version", *partitions))
            return with_indexes or kind not in ("index", "unique_constraint")

        context = MigrationContext.configure(
            connection,
            opts={"include_schemas": True, "include_name": is_ours, "version_table_schema": metadata.schema},
        )
        return list(compare_metadata(context, metadata))

    # Not as the service: with our schema on the search path it would be taken for the nameless default.
    engine = create_async_engine(make_url(database.admin_url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    async with engine.connect() as connection:
        return await connection.run_sync(compared)
