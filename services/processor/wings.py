"""Several wings' work on one held mailbox: the outbox and writes to calendars first, then mail, then calendars.

A send or a write therefore never waits for a reconciliation.
"""

from collections.abc import Collection, Sequence
from typing import Any, Generic, TypeVar

from services.meshkit import db
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.store.due_queues import DueQueue
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

    @property
    def queues(self) -> Sequence[DueQueue]:
        """See `MailboxWork.queues`."""
        return (*self._first.queues, *self._then.queues)

    async def read_due(
        self, connection: db.Connection, tenant_id: str, due: Collection[str]
    ) -> Sequence[tuple[Sequence[First], Sequence[Then]]]:
        """See `MailboxWork.read_due`. A wing without due entries is not asked."""
        first = await self._first.read_due(connection, tenant_id, due) if _is_any_due(self._first, due) else ()
        then = await self._then.read_due(connection, tenant_id, due) if _is_any_due(self._then, due) else ()
        return [(first, then)]

    async def process(self, held: HeldMailbox, due: Sequence[tuple[Sequence[First], Sequence[Then]]]) -> None:
        """See `MailboxWork.process`."""
        first, then = _parts(due)
        await self._first.process(held, first)
        await self._then.process(held, then)

    async def recover(
        self, held: HeldMailbox, due: Sequence[tuple[Sequence[First], Sequence[Then]]], error: SourceError
    ) -> None:
        """See `MailboxWork.recover`."""
        first, then = _parts(due)
        await self._first.recover(held, first, error)
        await self._then.recover(held, then, error)


def _is_any_due(wing: MailboxWork[Any], due: Collection[str]) -> bool:
    return any(queue.name in due for queue in wing.queues)


def _parts(due: Sequence[tuple[Sequence[First], Sequence[Then]]]) -> tuple[Sequence[First], Sequence[Then]]:
    return due[0] if due else ((), ())  # wings without due entries may still have items to work on
