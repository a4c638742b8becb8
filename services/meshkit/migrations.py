"""Migrations: one history per service, in the service's own schema, by Alembic.

    migrations = Migrations(settings.database_url, Schema("echo", Path(__file__).parent / "migrations"))
    await migrations.upgrade()

A service's folder `migrations/versions/` holds Alembic revisions and nothing else is needed beside it: no `env.py`, no
`alembic.ini`. Each revision runs in a transaction of its own, one process at a time, with bounds on statements and
locks.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import structlog
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from services.meshkit.db import DatabaseLimits
from services.meshkit.db_errors import store_errors
from services.meshkit.errors import Conflict
from services.meshkit.schema import VERSION_TABLE, Schema, SchemaError
from services.meshkit.secret import Secret

logger = structlog.get_logger(__name__)

_LIMITS = DatabaseLimits(
    connections=1, wait_seconds=10, statement_seconds=600, lock_seconds=15, idle_transaction_seconds=600
)

_ATTEMPTS = 5
"""The attempts at a move when a lock is not free in time, or after a deadlock. Committed steps stay."""
_LONGEST_PAUSE_SECONDS = 8.0
_ONE_STEP = "-1"

_Steps = Callable[[Any, MigrationContext], Any]


class Migrations:
    """Moves one schema between revisions.

    Args:
        url: The database, as a role that may create in the schema.
        schema: The service's own; made when it is not there.
    """

    def __init__(self, url: Secret, schema: Schema) -> None:
        self._url = url
        self._schema = schema.name
        self._check_known = schema.check_known
        config = Config()
        config.set_main_option("script_location", str(schema.directory).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        self._config = config
        self._scripts = ScriptDirectory.from_config(config)

    @property
    def head(self) -> str:
        """The last revision by the history that the files themselves tell; empty without any."""
        return self._scripts.get_current_head() or ""

    async def upgrade(self, target: str = "head") -> None:
        """Move forward to a revision. Safe to call again, and from several processes at once.

        Args:
            target: A revision, or "head".

        Raises:
            SchemaError: A later release has migrated the database.
            StoreUnavailable: The database is away.
            Conflict: A lock was not free in any of some attempts: another process migrates, or a long transaction
                stands in the way.
        """
        await self._move(target, lambda revision, _context: self._scripts._upgrade_revs(target, revision))  # noqa: SLF001

    async def downgrade(self, target: str) -> None:
        """Move back to a revision. Safe to call again.

        Args:
            target: A revision, "-1", or "base".

        Raises:
            SchemaError: A later release has migrated the database, the revision is none of this history before the
                database's, or a step refuses because it would lose data that cannot be made again. The steps before it
                stay made. Or the target is a number of several steps.
            StoreUnavailable: The database is away.
            Conflict: A lock was not free in any of some attempts.
        """
        if target.startswith("-") and target != _ONE_STEP:
            # Another attempt would count from the revision that the one before it has reached.
            msg = f"schema {self._schema} goes back by {_ONE_STEP} or to a revision, not by {target}"
            raise SchemaError(msg)
        try:
            await self._move(target, lambda revision, _context: self._scripts._downgrade_revs(target, revision))  # noqa: SLF001
        except (CommandError, asyncpg.RaiseError) as exc:
            msg = f"schema {self._schema} does not go back to {target}, it is at {await self.current()}: {exc}"
            raise SchemaError(msg) from exc

    async def current(self) -> str:
        """The revision of the database; empty before the first."""
        async with self._connection() as connection:
            return await connection.run_sync(self._revision)

    def _revision(self, connection: Connection) -> str:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "version_table_schema": self._schema}
        )
        return context.get_current_revision() or ""

    async def _move(self, target: str, steps: _Steps) -> None:
        """Make the steps. A service that runs beside them may hold a lock that a step wants, and want one of its."""
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(Conflict),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=1, max=_LONGEST_PAUSE_SECONDS),
            reraise=True,
        )
        await attempts(self._move_once, target, steps)

    async def _move_once(self, target: str, steps: _Steps) -> None:
        async with self._connection() as connection, self._alone(connection):
            await self._make_schema(connection)
            before = await connection.run_sync(self._revision)
            await connection.rollback()
            self._check_known(before)
            await connection.run_sync(self._run, steps)
            after = await connection.run_sync(self._revision)
            await connection.rollback()
        logger.info("migrated", schema=self._schema, target=target, before=before, after=after)

    def _run(self, connection: Connection, steps: _Steps) -> None:
        with EnvironmentContext(self._config, self._scripts, fn=steps) as environment:
            environment.configure(
                connection=connection,
                version_table=VERSION_TABLE,
                version_table_schema=self._schema,
                transaction_per_migration=True,
            )
            with environment.begin_transaction():
                environment.run_migrations()

    async def _make_schema(self, connection: AsyncConnection) -> None:
        """Ask first: a role may be allowed to fill a schema and not to make one."""
        known = await connection.execute(
            text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": self._schema}
        )
        if known.first() is None:
            quoted = connection.dialect.identifier_preparer.quote(self._schema)
            await connection.execute(text(f"CREATE SCHEMA {quoted}"))
        await connection.commit()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        engine = create_async_engine(
            make_url(self._url.reveal()).set(drivername="postgresql+asyncpg"),
            poolclass=NullPool,
            connect_args={
                "timeout": _LIMITS.wait_seconds,
                "server_settings": _LIMITS.server_settings(f"{self._schema} migrations"),
            },
        )
        try:
            with store_errors(), _driver_errors():
                async with engine.connect() as connection:
                    yield connection
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def _alone(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """Hold a lock of the session, so that two processes never migrate one schema at the same time."""
        digest = hashlib.sha256(f"migrations of {self._schema}".encode()).digest()
        key = {"key": int.from_bytes(digest[:8], "big", signed=True)}
        await connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        await connection.commit()
        try:
            yield
        finally:
            await connection.rollback()
            await connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            await connection.commit()


@contextmanager
def _driver_errors() -> Iterator[None]:
    """Raise the error of asyncpg that SQLAlchemy wraps, so that failures have one translation."""
    try:
        yield
    except DBAPIError as exc:
        raise (exc.orig and exc.orig.__cause__) or exc from exc
