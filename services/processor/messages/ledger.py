"""Commit the steps of a modification: each under the mailbox's fence."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.mailbox.seen_change import AnnouncedCategories
from services.processor.mailbox.transaction import Transactions
from services.processor.messages.rows import ModificationRow, Outcome, OwnChange, Result, State
from services.processor.messages.store import modifications, own_changes
from services.processor.metrics import MODIFIED

REFUSED = "MODIFICATION_REFUSED"
_DETAIL_CHARACTERS = 500
_CATEGORIES = "categories"


class ModificationEndedError(Exception):
    """Another process has ended the modification: it was past its deadline, or its tenant was disconnected."""


class Ledger:
    """Commits the steps of one mailbox's modifications.

    Args:
        transactions: The process's fenced transactions.
        tenant_id: The mailbox's tenant.
        fence: The fence of the lease.
        clock: The time.
        announced: Tells which mails have the categories that mailmesh announced last.
        recognised: The time for which the event of a change of ours is expected, by provider.
    """

    def __init__(
        self,
        transactions: Transactions,
        tenant_id: str,
        fence: int,
        clock: Clock,
        announced: AnnouncedCategories,
        recognised: Mapping[str, timedelta],
    ) -> None:
        self._transactions = transactions
        self._tenant_id = tenant_id
        self._fence = fence
        self._clock = clock
        self._announced = announced
        self._recognised = recognised

    def fenced(self) -> AbstractAsyncContextManager[db.Connection]:
        """Return a transaction under the fence of the lease; see `Transactions.fenced`."""
        return self._transactions.fenced(self._tenant_id, self._fence)

    async def earlier(self, row: ModificationRow) -> tuple[set[str], datetime | None]:
        """See `modifications.earlier`."""
        async with self._transactions.reading() as connection, connection.transaction():
            return await modifications.earlier(connection, row, row.pending)

    async def intend(self, row: ModificationRow, changes: Sequence[OwnChange]) -> None:
        """Commit changes before they are made: their notifications may come before the answer.

        Raises:
            ModificationEndedError: Another process has ended the modification: the changes must not be made.
        """
        if not changes:
            return
        until = self._clock.now() + self._recognised[row.provider]
        async with self.fenced() as connection:
            if not await modifications.is_pending(connection, row.modification_id):
                raise ModificationEndedError
            claimed = await self._claimed(connection, changes)
            await own_changes.intend(connection, self._tenant_id, row.modification_id, claimed, until)

    async def ended(self, row: ModificationRow, results: Mapping[str, Result]) -> ModificationRow:
        """Commit the outcomes of mails, and the versions by which their events are recognised.

        Raises:
            ModificationEndedError: Another process has ended the modification; the versions are committed.
        """
        if not results:
            return row
        async with self.fenced() as connection:
            await self._note(connection, row, results)
            values = _values(row, results, self._clock.now())
            changed = await modifications.change(connection, row.modification_id, values)
        for result in results.values():
            MODIFIED.labels(row.provider, result.outcome.name.lower()).inc()
        return _unfinished(changed)

    async def wait(
        self, row: ModificationRow, until: datetime, reason: str, detail: str, *, failed: int
    ) -> ModificationRow:
        """Commit when the remaining mails are retried.

        Raises:
            ModificationEndedError: Another process has ended the modification.
        """
        values = {"due_at": until, "reason": reason, "detail": detail[:_DETAIL_CHARACTERS]}
        async with self.fenced() as connection:
            changed = await modifications.change(
                connection, row.modification_id, {**values, "attempts": row.attempts + failed}
            )
        return _unfinished(changed)

    async def postpone(self, until: datetime, reason: str, detail: str) -> None:
        """Commit that no modification of the mailbox is acted on before a time."""
        async with self.fenced() as connection:
            await modifications.postpone(connection, self._tenant_id, until, reason, detail[:_DETAIL_CHARACTERS])

    async def _claimed(self, connection: db.Connection, changes: Sequence[OwnChange]) -> Sequence[OwnChange]:
        """Claim no categories where others changed them since the last event: one event will report both changes."""
        present = {one.message_id: one.categories_before for one in changes if _CATEGORIES in one.fields}
        if not present:
            return changes
        foreign = present.keys() - await self._announced(connection, self._tenant_id, present)
        await own_changes.disclaim(connection, self._tenant_id, list(foreign), _CATEGORIES)
        return [_without_categories(one) if one.message_id in foreign else one for one in changes]

    async def _note(self, connection: db.Connection, row: ModificationRow, results: Mapping[str, Result]) -> None:
        made = {one: result.version for one, result in results.items() if result.version}
        undone = [one for one, result in results.items() if result.outcome is not Outcome.DONE and not result.version]
        await own_changes.made(connection, self._tenant_id, row.modification_id, made)
        await own_changes.forget(connection, self._tenant_id, row.modification_id, undone)


def _unfinished(changed: ModificationRow | None) -> ModificationRow:
    if changed is None:
        raise ModificationEndedError
    return changed


def _without_categories(change: OwnChange) -> OwnChange:
    return replace(change, fields=tuple(name for name in change.fields if name != _CATEGORIES))


def _values(row: ModificationRow, results: Mapping[str, Result], now: datetime) -> dict[str, Any]:
    outcomes = row.outcomes_with({one: result.outcome for one, result in results.items()})
    values: dict[str, Any] = {"outcomes": outcomes}
    refused = [result.detail for result in results.values() if result.outcome is Outcome.REFUSED]
    if refused:
        values |= {"reason": REFUSED, "detail": refused[-1][:_DETAIL_CHARACTERS]}
    return values | finished(outcomes, now)


def finished(outcomes: bytes, now: datetime) -> dict[str, Any]:
    """Return the values of a modification whose mails all have their outcomes; none while some have not."""
    if Outcome.PENDING in outcomes:
        return {}
    return {"state": State.FINISHED, "due_at": None, "finished_at": now}


async def expire(connection: db.Connection, row: ModificationRow, now: datetime, why: str) -> ModificationRow | None:
    """Give the remaining mails of a modification their last outcome; return None when it is finished."""
    outcomes = row.outcomes_with(dict.fromkeys(row.pending, Outcome.EXPIRED))
    values = {"outcomes": outcomes, "reason": row.reason or why, **finished(outcomes, now)}
    return await modifications.change(connection, row.modification_id, values)
