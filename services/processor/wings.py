"""Several wings' work on one held mailbox: the outbox first, then mail, then calendars.

A send therefore never waits for a reconciliation.
"""

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Generic, TypeVar

from services.meshkit import db
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.work import HeldMailbox, MailboxWork

First = TypeVar("First")
Then = TypeVar("Then")


class BothWings(Generic[First, Then]):
    """Two wings in their order; implements `mailbox.work.MailboxWork`.

    Args:
        first: The wing that works first.
        then: The wing that works then. One wing, mail, settles the lease's items.
    """

    def __init__(self, first: MailboxWork[First], then: MailboxWork[Then]) -> None:
        self._first = first
        self._then = then

    async def due_tenants(self, limit: int) -> Sequence[str]:
        """See `MailboxWork.due_tenants`."""
        turns = zip_longest(await self._first.due_tenants(limit), await self._then.due_tenants(limit))
        # In turns, so that neither wing's queue keeps the other's from the room that there is.
        return list(dict.fromkeys(tenant for tenant in chain.from_iterable(turns) if tenant is not None))[:limit]

    async def read_due(
        self, connection: db.Connection, tenant_id: str
    ) -> Sequence[tuple[Sequence[First], Sequence[Then]]]:
        """See `MailboxWork.read_due`."""
        first = await self._first.read_due(connection, tenant_id)
        return [(first, await self._then.read_due(connection, tenant_id))]

    async def process(self, held: HeldMailbox, due: Sequence[tuple[Sequence[First], Sequence[Then]]]) -> None:
        """See `MailboxWork.process`."""
        for first, then in due:
            await self._first.process(held, first)
            await self._then.process(held, then)

    async def recover(
        self, held: HeldMailbox, due: Sequence[tuple[Sequence[First], Sequence[Then]]], error: SourceError
    ) -> None:
        """See `MailboxWork.recover`."""
        for first, then in due:
            await self._first.recover(held, first, error)
            await self._then.recover(held, then, error)
