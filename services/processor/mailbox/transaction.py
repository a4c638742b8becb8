"""Transactions that only the holder of a mailbox can commit: the fence, and nothing of what a wing writes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TypeAlias

from services.meshkit import db
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.store.row_changes import RowChange
from services.processor.metrics import FENCED

_WAIT_SECONDS = 5.0

AlsoCommitted: TypeAlias = RowChange | Callable[[db.Connection], Awaitable[None]]
"""A write that is committed with others: a change of the mailbox's row, as a rule a cursor, or one of other tables."""


class Transactions:
    """Connections and fenced transactions of one worker process.

    Args:
        pool: The process's connections.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool

    def reading(self) -> AbstractAsyncContextManager[db.Connection]:
        """Lend a connection outside of any transaction. Raises `StoreUnavailable`."""
        return db.connection(self._pool, _WAIT_SECONDS)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[db.Connection]:
        """Lend a connection for one statement that checks the fence by itself and is a transaction of its own.

        Raises:
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL cannot be reached or is too slow; the statement may or may not have committed.
        """
        async with self.reading() as connection:
            with _counted():
                yield connection

    @asynccontextmanager
    async def fenced(self, tenant_id: str, fence: int) -> AsyncIterator[db.Connection]:
        """Run the block in a transaction that commits only while the mailbox is still held under this fence.

        The first statement locks the mailbox's row on condition that no higher fence was seen.

        Raises:
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL cannot be reached or is too slow.
        """
        async with db.transaction(self._pool, _WAIT_SECONDS) as connection:
            with _counted():
                await mailboxes.lock_fenced(connection, tenant_id, fence)
            yield connection


@contextmanager
def _counted() -> Iterator[None]:
    try:
        yield
    except mailboxes.FencedError:
        FENCED.inc()
        raise
