"""PostgreSQL: a bounded engine for SQLAlchemy, a bounded raw pool for hot paths, one translation of what goes wrong.

    async with Database.open(settings.database_url, "echo") as database:
        async with database.transaction() as connection:
            await connection.execute(...)

Connections are given back before anything outside of the database is waited for: a `transaction()` never spans a
call to another service.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from sqlalchemy import URL, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.meshkit.errors import Conflict, StoreUnavailable
from services.meshkit.secret import Secret

_AWAY = ("08", "53", "57", "58", "25006")
"""SQLSTATE: connection, resources, operator's intervention (cancelled and timed out too), system; a standby."""
_AGAIN = ("40001", "40P01", "55P03")
"""SQLSTATE: serialization failure, deadlock, lock not available."""
_GOODBYE_SECONDS = 3.0


@dataclass(frozen=True)
class DatabaseLimits:
    """Bounds of what a process takes from PostgreSQL.

    Args:
        connections: At most this many at once; further callers wait.
        wait_seconds: For a free connection, and for making one.
        statement_seconds: For one statement.
        lock_seconds: For one lock.
        idle_transaction_seconds: For a transaction that does nothing; then the server ends it.
    """

    connections: int = 10
    wait_seconds: float = 2.0
    statement_seconds: float = 10.0
    lock_seconds: float = 5.0
    idle_transaction_seconds: float = 30.0

    def server_settings(self, application: str) -> dict[str, str]:
        """As PostgreSQL takes them with a connection."""
        return {
            "application_name": application,
            "statement_timeout": _milliseconds(self.statement_seconds),
            "lock_timeout": _milliseconds(self.lock_seconds),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_transaction_seconds),
            "timezone": "UTC",
        }


class Database:
    """A bounded SQLAlchemy engine whose failures are `StoreUnavailable` or `Conflict`.

    Args:
        engine: Made by `Database.open`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: Secret, application: str, limits: DatabaseLimits | None = None
    ) -> AsyncIterator["Database"]:
        """Opens the engine and closes it behind the block. Connections are made as they are needed.

        Args:
            url: `postgresql://user:password@host:port/name`, `?host=/folder` for a unix socket.
            application: Shown in `pg_stat_activity`.
            limits: Bounds.
        """
        engine = make_engine(url, application, limits or DatabaseLimits())
        try:
            yield cls(engine)
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Runs the block in a transaction: committed behind it, rolled back when it raises.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow; nothing of the block is certain to have happened.
            Conflict: Another transaction was in the way; repeating the block makes sense.
        """
        with store_errors():
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Gives a connection whose statements each stand alone, for reads that need no common snapshot.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        with store_errors():
            async with self.engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def ping(self) -> None:
        """Asks for an answer.

        Raises:
            StoreUnavailable: There is none.
        """
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))


@asynccontextmanager
async def open_pool(
    url: Secret, application: str, limits: DatabaseLimits | None = None
) -> "AsyncIterator[asyncpg.Pool[asyncpg.Record]]":
    """Opens a raw asyncpg pool for a hot path and closes it behind the block; put `store_errors()` around its use.

    Args:
        url: As for `Database.open`.
        application: Shown in `pg_stat_activity`.
        limits: Bounds; `pool.acquire(timeout=limits.wait_seconds)` is the caller's to say.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    bounds = limits or DatabaseLimits()
    with store_errors():
        pool = await asyncpg.create_pool(
            dsn=_plain(url),
            min_size=0,
            max_size=bounds.connections,
            timeout=bounds.wait_seconds,
            command_timeout=bounds.statement_seconds + 1,
            server_settings=bounds.server_settings(application),
        )
    try:
        yield pool
    finally:
        await _close(pool)


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Says goodbye, but not for ever: a server that is frozen never answers."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            if not pool.is_closing():
                await pool.close()
    pool.terminate()


def make_engine(url: Secret, application: str, limits: DatabaseLimits) -> AsyncEngine:
    """Makes a bounded engine; whoever makes it disposes of it."""
    return create_async_engine(
        engine_url(url),
        pool_size=limits.connections,
        max_overflow=0,
        pool_timeout=limits.wait_seconds,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={
            "timeout": limits.wait_seconds,
            "command_timeout": limits.statement_seconds + 1,
            "server_settings": limits.server_settings(application),
        },
    )


def engine_url(url: Secret) -> URL:
    """The URL as SQLAlchemy wants it, for asyncpg."""
    return make_url(url.reveal()).set(drivername="postgresql+asyncpg")


def database_name(url: Secret) -> str:
    """The name of the database, for messages; nothing else of a URL is fit to be shown."""
    return urlsplit(url.reveal()).path.lstrip("/") or parse_qs(urlsplit(url.reveal()).query).get("dbname", [""])[0]


@contextmanager
def store_errors() -> Iterator[None]:
    """Translates what SQLAlchemy, asyncpg or the network raise inside of the block.

    Violated constraints and faulty statements pass as they are: the first belong to the store that knows what they
    mean, the second are a fault of ours.

    Raises:
        StoreUnavailable: PostgreSQL is away, out of resources, or too slow.
        Conflict: A deadlock, a serialization failure, a lock that was not had in time.
    """
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        translated = _translated(exc)
        if translated is None:
            raise
        raise translated from exc
    except (PoolTimeoutError, OSError) as exc:  # a TimeoutError is an OSError
        raise StoreUnavailable from exc


def _translated(exc: Exception) -> StoreUnavailable | Conflict | None:
    cause: Any = exc.orig if isinstance(exc, DBAPIError) else exc
    state = str(getattr(cause, "sqlstate", None) or "")
    if state.startswith(_AGAIN):
        return Conflict()
    if state.startswith(_AWAY) or _is_broken(exc):
        return StoreUnavailable()
    return None


def _is_broken(exc: Exception) -> bool:
    """Tells a lost connection, which has no SQLSTATE, from a wrong use of one."""
    if isinstance(exc, DBAPIError):
        return exc.connection_invalidated or isinstance(exc.orig, OSError)
    # asyncpg takes a connection that broke away from whoever holds it, and says that it was given back.
    is_closed = isinstance(exc, asyncpg.InterfaceError) and any(word in str(exc) for word in ("clos", "released"))
    return is_closed or isinstance(exc, asyncpg.PostgresConnectionError)


def _plain(url: Secret) -> str:
    return make_url(url.reveal()).set(drivername="postgresql").render_as_string(hide_password=False)


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
