"""PostgreSQL: a bounded pool of asyncpg connections, and one translation of its failures.

    from services.meshkit import db

    async with db.open_pool(settings.database_url, "echo") as pool:
        async with db.transaction(pool) as connection:
            await connection.execute("UPDATE echo.things SET name = $2 WHERE id = $1", 7, "seven")

Stores are modules of functions that take such a connection first. A connection goes back to its pool before the process
waits for anything outside of the database: a `transaction()` never spans a call to another service.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias, cast

import asyncpg

from services.meshkit.errors import Conflict, StoreUnavailable
from services.meshkit.secret import Secret

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A connection as stores take it. The proxy that a pool lends passes everything on to one of these."""

ACQUIRE_SECONDS = 2.0
"""How long a caller waits for a free connection of a pool, connecting included."""

_AWAY = ("08", "53", "57", "58", "25006")
"""SQLSTATE: connection, resources, operator's intervention (cancelled and timed out too), system; a standby."""
_AGAIN = ("40001", "40P01", "55P03")
"""SQLSTATE: serialization failure, deadlock, lock not available."""
_ENDED_BY_SERVER = "another operation (2) is in progress"
"""asyncpg's message for the state in which it has read an error of the server, and waits for the end of the answer."""
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
    wait_seconds: float = ACQUIRE_SECONDS
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


@asynccontextmanager
async def open_pool(url: Secret, application: str, limits: DatabaseLimits | None = None) -> AsyncIterator[Pool]:
    """Open a pool, and close it behind the block. The pool makes its connections as callers need them.

    Args:
        url: `postgresql://user:password@host:port/name`, `?host=/folder` for a unix socket.
        application: Shown in `pg_stat_activity`.
        limits: Bounds. `connection` and `transaction` wait for a free connection; direct use of the pool needs
            `store_errors()` around it and `pool.acquire(timeout=...)`.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    bounds = limits or DatabaseLimits()
    with store_errors():
        pool = await asyncpg.create_pool(
            dsn=driver_url(url),
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


@asynccontextmanager
async def connection(pool: Pool, wait_seconds: float = ACQUIRE_SECONDS) -> AsyncIterator[Connection]:
    """Lend a connection whose statements each stand alone, for reads that need no common snapshot.

    Args:
        pool: Source of the connection.
        wait_seconds: For a free connection.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow, or no connection is free in time.
        Conflict: Another transaction was in the way.
    """
    with store_errors():
        async with pool.acquire(timeout=wait_seconds) as lent:
            yield cast("Connection", lent)


@asynccontextmanager
async def transaction(pool: Pool, wait_seconds: float = ACQUIRE_SECONDS) -> AsyncIterator[Connection]:
    """Run the block in a transaction: committed behind the block, rolled back when the block raises.

    Args:
        pool: Source of the connection.
        wait_seconds: For a free connection.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow. The outcome of the block is unknown.
        Conflict: Another transaction was in the way; repeating the block makes sense.
    """
    with store_errors():
        async with pool.acquire(timeout=wait_seconds) as lent, lent.transaction():
            yield cast("Connection", lent)


async def ping(pool: Pool) -> None:
    """Ask the database for an answer.

    Raises:
        StoreUnavailable: The database gave none.
    """
    async with connection(pool) as lent:
        await lent.execute("SELECT 1")


def affected(status: str) -> int:
    """Return the number of rows that a statement changed.

    Args:
        status: The statement's command tag, as `Connection.execute` returns it: "UPDATE 3", "INSERT 0 1".
    """
    return int(status.rpartition(" ")[2])


async def _close(pool: Pool) -> None:
    """Close the pool within a time limit: a frozen server never answers."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            if not pool.is_closing():
                await pool.close()
    pool.terminate()


def driver_url(url: Secret) -> str:
    """Return the URL as asyncpg takes it: a scheme such as `postgresql+asyncpg` names the driver and goes."""
    scheme, separator, rest = url.reveal().partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


@contextmanager
def store_errors() -> Iterator[None]:
    """Translate the exceptions that asyncpg or the network raise inside the block.

    Violated constraints and faulty statements pass unchanged: the store knows the meaning of the first, and the second
    are our own fault.

    Raises:
        StoreUnavailable: PostgreSQL is away, out of resources, or too slow.
        Conflict: A deadlock, a serialization failure, or a lock that was not free in time.
    """
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
        translated = _translated(exc)
        if translated is None:
            raise
        raise translated from exc
    except OSError as exc:  # a TimeoutError is an OSError
        raise StoreUnavailable from exc


def _translated(exc: Exception) -> StoreUnavailable | Conflict | None:
    state = str(getattr(exc, "sqlstate", None) or "")
    if state.startswith(_AGAIN):
        return Conflict()
    if state.startswith(_AWAY) or _is_broken(exc):
        return StoreUnavailable()
    return None


def _is_broken(exc: Exception) -> bool:
    """Tell a lost connection, which has no SQLSTATE, from a wrong use of one."""
    if isinstance(exc, asyncpg.InternalClientError):
        # A statement that begins after the server's last message, and before the connection is known to be closed.
        return _ENDED_BY_SERVER in str(exc)
    # asyncpg takes a broken connection away from its holder, and reports that the holder released it.
    is_closed = isinstance(exc, asyncpg.InterfaceError) and any(word in str(exc) for word in ("clos", "released"))
    # The server's last message, read before its connection closes, leaves asyncpg in the middle of "another operation".
    return is_closed or isinstance(exc, (asyncpg.PostgresConnectionError, asyncpg.InternalClientError))


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
