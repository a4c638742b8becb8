"""Transactions that only the holder of a mailbox can commit: the fence, and nothing of what a wing writes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias, TypeVar

from services.meshkit import db
from services.processor.mailbox.store import mailboxes
from services.processor.metrics import FENCED

Read = TypeVar("Read")

_WAIT_SECONDS = 5.0

AlsoCommitted: TypeAlias = Callable[[db.Connection], Awaitable[None]]
"""A write that is committed in the same transaction as others: as a rule, a cursor."""


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
    async def fenced(self, tenant_id: str, fence: int) -> AsyncIterator[db.Connection]:
        """Run the block in a transaction that commits only while the mailbox is still held under this fence.

        The first statement locks the mailbox's row on condition that no higher fence was seen.

        Raises:
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL cannot be reached or is too slow.
        """
        async with self.locked(lambda connection: mailboxes.lock_fenced(connection, tenant_id, fence)) as (lent, _):
            yield lent

    @asynccontextmanager
    async def locked(
        self, lock: Callable[[db.Connection], Awaitable[Read]]
    ) -> AsyncIterator[tuple[db.Connection, Read]]:
        """Like `fenced`, with a first statement of the caller's, which locks the mailbox's row and reads something.

        Args:
            lock: The first statement. Raises `FencedError` when the mailbox's row does not have the holder's fence.
        """
        async with db.transaction(self._pool, _WAIT_SECONDS) as connection:
            try:
                read = await lock(connection)
            except mailboxes.FencedError:
                FENCED.inc()
                raise
            yield connection, read
