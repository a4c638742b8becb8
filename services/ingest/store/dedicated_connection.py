"""The dedicated connection of the inbox writer."""

from typing import TYPE_CHECKING, Any

import asyncpg

from services.meshkit import db

if TYPE_CHECKING:
    PoolConnection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]


class DedicatedConnection:
    """One connection that is kept between uses, because a return to its pool costs as much as a commit.

    Args:
        pool: The source of the connection, and of its replacement when it breaks.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._connection: PoolConnection | None = None

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
        with db.store_errors():
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
            with db.store_errors():
                await self._pool.release(connection)

    async def _connected(self, seconds: float) -> "PoolConnection":
        if self._connection is None or self._connection.is_closed():
            await self.aclose()
            self._connection = await self._pool.acquire(timeout=seconds)
            # The planner must never compile a statement that takes a millisecond.
            await self._connection.execute("SET jit = off")
        return self._connection
