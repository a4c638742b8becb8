"""Raw connections to PostgreSQL: a shared pool, and the dedicated connection of the inbox writer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from services.meshkit.db import store_errors

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = Any

ACQUIRE_SECONDS = 2.0


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Run the block in a transaction: committed at its end, rolled back when it raises.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
        Conflict: A concurrent transaction prevented it.
    """
    with store_errors():
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection, connection.transaction():
            yield connection


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Connection]:
    """Yield a connection on which each statement is a transaction of its own.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    with store_errors():
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            yield connection


async def ping(pool: Pool) -> None:
    """Check that PostgreSQL answers.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    async with reading(pool) as connection:
        await connection.execute("SELECT 1")


class DedicatedConnection:
    """One connection that is kept between uses, because a return to its pool costs as much as a commit.

    Args:
        pool: The source of the connection, and of its replacement when it breaks.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def fetchrow(self, statement: str, *values: Any, seconds: float) -> asyncpg.Record:
        """Run one statement that returns one row, as a transaction of its own.

        Args:
            statement: SQL.
            values: Its parameters.
            seconds: The deadline, connecting included. After it the statement is cancelled and its outcome is unknown.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
            Conflict: A lock was not obtained.
        """
        with store_errors():
            try:
                connection = await self._connected(seconds)
                row = await connection.fetchrow(statement, *values, timeout=seconds)
            except BaseException:
                await self.aclose()
                raise
        assert row is not None  # noqa: S101 - the statement returns exactly one row
        return row

    async def aclose(self) -> None:
        """Close the connection; the next use opens another. Safe to call again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
            with store_errors():
                await self._pool.release(connection)

    async def _connected(self, seconds: float) -> Connection:
        if self._connection is None or self._connection.is_closed():
            await self.aclose()
            self._connection = await self._pool.acquire(timeout=seconds)
            # The planner must never compile a statement that takes a millisecond.
            await self._connection.execute("SET jit = off")
        return self._connection
