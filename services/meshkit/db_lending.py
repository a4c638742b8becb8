"""Lends the connections of a pool so that no caller meets the end of the server's last run.

asyncpg notices that a connection has ended when it reads from it or, for a server that vanished, never. After a restart
each connection of a pool would fail one caller. And a connection to a server that has become a standby stays open, but
can only read. Therefore a connection answers from time to time before it is lent, and the first one that is found
dead, or on a server that only reads, has all others of its pool replaced.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
import structlog

from services.meshkit.db_errors import ClientError, Meaning, meaning_of

logger = structlog.get_logger(__name__)

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_TRUSTED_SECONDS = 3.0
"""A connection that has been asked within this time is lent at once, unless it has ended. A server that stops ends its
connections. That one has vanished or only reads, the health check finds out: it asks every two seconds in any case, and
its question keeps the connection of an idle process trusted. The answers to a caller's statements count for nothing:
a standby gives them too, as long as the statements only read."""
_CHECK_SECONDS = 0.5  # less than the time of a health ping, which would be cancelled inside
_READ_ONLY = "SELECT current_setting('transaction_read_only')::bool"
"""True also on a standby."""
_QUERIES = 50_000
_IDLE_SECONDS = 300.0


@dataclass
class History:
    """The times of a connection that decide whether it is lent, by the monotonic clock."""

    made_at: float
    checked_at: float
    """When the server last said that it can write; a new connection is only made to one that can."""


class LendableConnection(asyncpg.Connection):
    """A connection with a history. asyncpg takes a closed one out of its proxy, so each loan keeps the history."""

    __slots__ = ("history",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        now = time.monotonic()
        self.history = History(now, now)

    def get_reset_query(self) -> str:
        """Return no statement for the return to the pool: no store changes anything that outlasts its transaction.

        Settings and advisory locks are those of a transaction, and the one listener ends its listening itself. asyncpg
        still rolls back a transaction that is open.
        """
        return ""


class LendingPool(asyncpg.Pool):
    """A pool that only connects to a server that can write, and knows when its connections were last replaced.

    Args:
        dsn: The database.
        connections: The most connections at once.
        options: As `asyncpg.connect` takes them.
    """

    __slots__ = ("replaced_at",)

    def __init__(self, dsn: str, connections: int, **options: Any) -> None:
        self.replaced_at = 0.0
        super().__init__(
            dsn,
            min_size=0,
            max_size=connections,
            max_queries=_QUERIES,
            max_inactive_connection_lifetime=_IDLE_SECONDS,
            loop=None,
            connection_class=LendableConnection,
            record_class=asyncpg.Record,
            target_session_attrs="read-write",
            **options,
        )

    async def replace_older(self, than: float) -> None:
        """Replace all connections before they are lent again, unless that was done since a time."""
        if self.replaced_at <= than:
            self.replaced_at = time.monotonic()
            await self.expire_connections()


class Loan:
    """A connection of a pool while a caller holds it.

    Args:
        pool: Its pool.
        connection: The connection, as the pool lent it.
    """

    def __init__(self, pool: Pool, connection: Any) -> None:
        self.connection: Connection = connection
        self._pool = pool
        self._proxy = connection
        self._history: History = connection.history

    async def is_answering(self, trusted_seconds: float = _TRUSTED_SECONDS) -> bool:
        """Say whether it can be used now, for writing too. Asks the server unless that was done within a time."""
        if time.monotonic() - self._history.checked_at < trusted_seconds and not self.connection.is_closed():
            return True
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await check_writable(self.connection)
        except (OSError, *ClientError) as exc:  # a TimeoutError is an OSError
            logger.info("connection does not answer", error=type(exc).__name__)
            return False
        self._history.checked_at = time.monotonic()
        return True

    async def give_back(self) -> None:
        """Return it to the pool. That this fails concerns no caller: asyncpg has ended the connection then."""
        try:
            await self._pool.release(self._proxy)
        except (OSError, *ClientError) as exc:
            logger.info("connection not reusable", error=type(exc).__name__)

    async def end(self) -> None:
        """End the connection, so that the pool makes another. Safe to call again."""
        with suppress(asyncpg.InterfaceError):  # it has ended already, and the pool has taken it back
            self._proxy.terminate()
        await self.give_back()

    async def drop(self) -> None:
        """End a dead connection. All others that are as old lead to the same server, and are replaced too."""
        await self.end()
        if isinstance(self._pool, LendingPool):
            await self._pool.replace_older(self._history.made_at)


async def borrow(pool: Pool, wait_seconds: float, trusted_seconds: float | None = None) -> Loan:
    """Take a connection that answers, for as long as the caller likes.

    Args:
        pool: Source of the connection, as `db.open_pool` made it.
        wait_seconds: For a free connection and its answer.
        trusted_seconds: A connection that was asked within this time is not asked again; 0 to ask it in any case.

    Raises:
        TimeoutError: No connection is free in time.
        asyncpg.PostgresError: A new connection cannot be made; `store_errors` translates all that is raised here.
    """
    until = time.monotonic() + wait_seconds
    trusted = _TRUSTED_SECONDS if trusted_seconds is None else trusted_seconds
    while True:
        loan = Loan(pool, await pool.acquire(timeout=max(0.0, until - time.monotonic())))
        try:
            if await loan.is_answering(trusted):
                return loan
        except BaseException:
            await loan.end()
            raise
        await loan.drop()


@asynccontextmanager
async def lent(pool: Pool, wait_seconds: float, trusted_seconds: float | None = None) -> AsyncIterator[Connection]:
    """Lend a connection that answers to the block, and drop it behind the block when it was found dead."""
    loan = await borrow(pool, wait_seconds, trusted_seconds)
    try:
        yield loan.connection
    except Exception as exc:
        if meaning_of(exc) is Meaning.CONNECTION_DEAD:
            await loan.drop()
        else:
            await loan.give_back()
        raise
    except BaseException:
        await loan.give_back()
        raise
    await loan.give_back()


async def check_writable(connection: Connection) -> None:
    """Ask the server whether it could write now.

    Raises:
        asyncpg.ReadOnlySQLTransactionError: It is a standby, or held read-only by its operator.
    """
    if await connection.fetchval(_READ_ONLY):
        raise asyncpg.ReadOnlySQLTransactionError("the server is read-only")
