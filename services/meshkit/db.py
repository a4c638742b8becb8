"""PostgreSQL: a bounded pool of asyncpg connections to a server that can write.

    from services.meshkit import db

    async with db.open_pool(settings.database_url, "echo") as pool:
        async with db.transaction(pool) as connection:
            await connection.execute("UPDATE echo.things SET name = $2 WHERE id = $1", 7, "seven")

Stores are modules of functions that take such a connection first. A connection goes back to its pool before the process
waits for anything outside of the database: a `transaction()` never spans a call to another service.

After a restart or a failover no caller is lent a connection to the earlier server: `db_lending` sees to that.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

from services.meshkit import db_lending as lending
from services.meshkit.db_errors import store_errors
from services.meshkit.secret import Secret

Pool: TypeAlias = lending.Pool
Connection: TypeAlias = lending.Connection
"""A connection as stores take it. The proxy that a pool lends passes everything on to one of these."""

ACQUIRE_SECONDS = 2.0
"""How long a caller waits for a free connection of a pool, connecting included."""
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
            `store_errors()` around it, and `db_lending.borrow` instead of the pool's own method.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    bounds = limits or DatabaseLimits()
    with store_errors():
        pool = await lending.LendingPool(
            dsn=driver_url(url),
            connections=bounds.connections,
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
        StoreUnavailable: PostgreSQL is away, read-only or too slow, or no connection is free in time.
        Conflict: Another transaction was in the way.
    """
    with store_errors():
        async with lending.lent(pool, wait_seconds) as connection:
            yield connection


@asynccontextmanager
async def transaction(pool: Pool, wait_seconds: float = ACQUIRE_SECONDS) -> AsyncIterator[Connection]:
    """Run the block in a transaction: committed behind the block, rolled back when the block raises.

    Args:
        pool: Source of the connection.
        wait_seconds: For a free connection.

    Raises:
        StoreUnavailable: PostgreSQL is away, read-only or too slow. The outcome of the block is unknown.
        Conflict: Another transaction was in the way; repeating the block makes sense.
    """
    with store_errors():
        async with lending.lent(pool, wait_seconds) as connection, connection.transaction():
            yield connection


async def ping(pool: Pool) -> None:
    """Ask the database whether it could write now.

    Raises:
        StoreUnavailable: The database gave no answer, or it is read-only: a standby, or held so by its operator.
    """
    with store_errors():
        async with lending.lent(pool, ACQUIRE_SECONDS, trusted_seconds=0.0):
            return  # the connection has just answered


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


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
