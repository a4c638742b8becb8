"""The dedicated connection of the inbox writer."""

from typing import Any

import asyncpg

from services.meshkit import db
from services.meshkit.db_errors import store_errors
from services.meshkit.db_lending import Loan, borrow


class DedicatedConnection:
    """One connection that is kept between uses, because a return to its pool costs as much as a commit.

    Args:
        pool: The source of the connection, and of its replacement when it breaks.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._loan: Loan | None = None

    async def fetchrow(self, statement: str, *values: Any, seconds: float) -> asyncpg.Record:
        """Run one statement that returns one row, as a transaction of its own.

        Args:
            statement: SQL.
            values: Its parameters.
            seconds: The deadline, connecting included. After it the statement is cancelled and its outcome is unknown.

        Raises:
            StoreUnavailable: PostgreSQL is away, read-only or too slow.
            Conflict: A lock was not obtained.
        """
        with store_errors():
            try:
                loan = await self._borrowed(seconds)
                row = await loan.connection.fetchrow(statement, *values, timeout=seconds)
            except BaseException:
                await self.aclose()
                raise
        assert row is not None  # noqa: S101 - the statement returns exactly one row
        return row

    async def aclose(self) -> None:
        """Close the connection; the next use opens another. Safe to call again."""
        loan, self._loan = self._loan, None
        if loan is not None:
            await loan.end()

    async def _borrowed(self, seconds: float) -> Loan:
        if self._loan is not None and await self._loan.is_answering():
            return self._loan
        await self.aclose()
        self._loan = await borrow(self._pool, seconds)
        # The planner must never compile a statement that takes a millisecond.
        await self._loan.connection.execute("SET jit = off")
        return self._loan
