"""Commit the steps of a write: each under the mailbox's fence, and only from the state that the worker knows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from services.meshkit.clock import Clock
from services.processor.calendar.store import writes
from services.processor.calendar.write_rows import Made, State, Target, WriteRow
from services.processor.calendar.writing.outcome import IN_DOUBT, end, finish
from services.processor.mailbox.transaction import Transactions
from services.processor.metrics import CALENDAR_WRITES


class WriteChangedError(Exception):
    """Another process has changed the write's state: it was past its deadline, or its tenant was disconnected."""


class Ledger:
    """Commits the steps of one account's writes.

    Args:
        transactions: The process's fenced transactions.
        tenant_id: The account's tenant.
        fence: The fence of the lease.
        clock: The time.
    """

    def __init__(self, transactions: Transactions, tenant_id: str, fence: int, clock: Clock) -> None:
        self._transactions = transactions
        self._tenant_id = tenant_id
        self._fence = fence
        self._clock = clock

    async def submitting(self, row: WriteRow, target: Target | None = None) -> WriteRow:
        """Commit that the change is submitted now. From here on nothing but the provider tells whether it was made.

        Args:
            row: The write.
            target: The event that it changes, where it was read just now.
        """
        now = self._clock.now()
        values: dict[str, Any] = {"submitted_at": now, "submissions": row.submissions + 1, "due_at": now}
        values |= {"reason": "", "detail": ""}
        if target is not None:
            values |= {"provider_event_id": target.provider_event_id, "version_before": target.version}
        return await self._change(row, {**values, "state": State.WRITING})

    async def unprocessed(self, row: WriteRow, until: datetime, reason: str, detail: str) -> None:
        """Commit that the submission surely had no effect, and does not count.

        A write stays in doubt after an earlier submission, and after a person had it made again.
        """
        others = row.submissions - 1
        state = State.WRITING if row.resolutions or others else State.PENDING
        values = {"state": state, "submissions": others, "attempts": row.attempts + 1}
        await self._change(row, {**values, "due_at": until, "reason": reason, "detail": detail})

    async def wait(
        self, row: WriteRow, until: datetime, reason: str = "", detail: str = "", *, failed: int = 0
    ) -> None:
        """Commit when the write is acted on next."""
        values: dict[str, Any] = {"due_at": until, "attempts": row.attempts + failed}
        await self._change(row, values | ({"reason": reason, "detail": detail} if reason else {}))

    async def hold_back(self, until: datetime, reason: str, detail: str) -> None:
        """Commit that no write of the account is acted on before a time."""
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            await writes.postpone(connection, self._tenant_id, until, reason, detail)

    async def put_off(self, row: WriteRow, until: datetime, attempts: int) -> None:
        """Commit when the write is acted on next, whatever its state is now; after so many attempts it ends."""
        ended = None
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            current = await writes.put_off(connection, row.calendar_write_id, until)
            if current is not None and current.attempts >= attempts:
                ended = await end(connection, current, self._clock.now(), "UNEXPECTED")
        if ended is not None:
            _count(ended)

    async def done(self, row: WriteRow, made: Made) -> None:
        """Commit that the calendar has the change."""
        await self._finish(row, State.DONE, made=made)

    async def failed(self, row: WriteRow, reason: str, detail: str) -> None:
        """Commit that the change was not made and is not tried any more; see `finish` for one made again."""
        await self._finish(row, State.FAILED, reason=reason, detail=detail)

    async def uncertain(self, row: WriteRow, detail: str) -> None:
        """Commit that the provider cannot tell: a person decides."""
        await self._finish(row, State.UNCERTAIN, reason=IN_DOUBT, detail=detail)

    async def meeting(
        self, row: WriteRow, meeting: event_pb2.OnlineMeeting, reason: str = "", detail: str = ""
    ) -> None:
        """Commit the last state of the online meeting; a followed calendar is read soon."""
        values = {"meeting": meeting.SerializeToString(), "due_at": None, "reason": reason, "detail": detail}
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            if await writes.change(connection, row.calendar_write_id, row.state, values) is None:
                raise WriteChangedError
            await writes.read_calendar_soon(connection, row.calendar_id)

    async def _change(self, row: WriteRow, values: Mapping[str, Any]) -> WriteRow:
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            changed = await writes.change(connection, row.calendar_write_id, row.state, values)
        if changed is None:
            raise WriteChangedError
        return changed

    async def _finish(self, row: WriteRow, state: State, **outcome: Any) -> None:
        async with self._transactions.fenced(self._tenant_id, self._fence) as connection:
            finished = await finish(connection, row, state, self._clock.now(), **outcome)
        if finished is None:
            raise WriteChangedError
        _count(finished)


def _count(row: WriteRow) -> None:
    CALENDAR_WRITES.labels(row.provider, row.kind.name.lower(), row.state.name.lower()).inc()
