"""Raw connections to PostgreSQL: a pool for what comes and goes, and one that the inbox's writer never gives back."""

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
    """Runs the block in a transaction: committed behind it, rolled back when it raises.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
        Conflict: Another transaction was in the way.
    """
    with store_errors():
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection, connection.transaction():
            yield connection


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Connection]:
    """Gives a connection whose statements each stand alone.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    with store_errors():
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            yield connection


async def ping(pool: Pool) -> None:
    """Asks for an answer.

    Raises:
        StoreUnavailable: There is none.
    """
    async with reading(pool) as connection:
        await connection.execute("SELECT 1")


class DedicatedConnection:
    """One connection that is kept between uses, since giving it back to its pool costs as much as a commit.

    Args:
        pool: Where it comes from, and where the next one comes from when it breaks.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def fetchrow(self, statement: str, *values: Any, seconds: float) -> asyncpg.Record:
        """Runs one statement that gives one row, as a transaction of its own.

        Args:
            statement: SQL.
            values: Its parameters.
            seconds: What it may take, connecting included. Then it is cancelled, and what became of it is unknown.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
            Conflict: A lock was not had.
        """
        with store_errors():
            try:
                connection = await self._connected(seconds)
                row = await connection.fetchrow(statement, *values, timeout=seconds)
            except BaseException:
                await self.drop()
                raise
        assert row is not None  # noqa: S101 - the statement gives exactly one row
        return row

    async def drop(self) -> None:
        """Gives the connection up; the next use makes another. Safe to call again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
            with store_errors():
                await self._pool.release(connection)

    async def _connected(self, seconds: float) -> Connection:
        if self._connection is None or self._connection.is_closed():
            await self.drop()
            self._connection = await self._pool.acquire(timeout=seconds)
            # The planner must never think of compiling a statement that takes a millisecond.
            await self._connection.execute("SET jit = off")
        return self._connection
