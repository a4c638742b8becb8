"""Ends of leases, which travel with the next claim of the process.

A call costs Ingest about a millisecond, whatever it contains, and its commit waits for the disk. A lease with all items
done therefore waits a moment for a claim that takes its end along, and ends by a call of its own when none comes. No
end is lost by that: until it is committed the lease is held, and the lease of a worker that dies expires.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from services.processor.mailbox.inbox_client import InboxClient
from services.processor.metrics import STEP_SECONDS

WAIT_SECONDS: Final = 0.02
"""The time after which an ending asks for a claim: new items of the same mailbox wait as long."""
LONGEST_WAIT_SECONDS: Final = 3 * WAIT_SECONDS
"""The longest wait for a claim. Claims follow each other, and pause after a failure: then each ending goes alone."""
MOST: Final = 10
"""The most endings of one call, which locks their mailboxes against writers until its commit is on disk."""
_MOST_ITEMS: Final = 500


class LeaseLostError(Exception):
    """The lease is lost: another worker has leased the mailbox, or will."""


class _Outcome(Enum):
    ENDED = auto()
    NOT_ENDED = auto()
    UNKNOWN = auto()
    """The answer was lost: the lease may have ended."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ending:
    message: inbox_pb2.LeaseEnding
    outcome: "asyncio.Future[_Outcome]"


class LeaseEndings:
    """The leases of one process that wait for a claim to end them.

    Args:
        inbox: The client of the inbox.
        longest_wait_seconds: The longest wait of an ending for a claim.
    """

    def __init__(self, inbox: InboxClient, longest_wait_seconds: float = LONGEST_WAIT_SECONDS) -> None:
        self._inbox = inbox
        self._longest_wait_seconds = longest_wait_seconds
        self._waiting: list[_Ending] = []
        self._wake: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def next_count(self) -> int:
        """The number of leases that the next claim ends."""
        count = items = 0
        for ending in self._waiting[:MOST]:
            items += len(ending.message.item_ids)
            if items > _MOST_ITEMS and count:
                break
            count += 1
        return count

    def open(self, wake: Callable[[], None]) -> None:
        """Begin to collect ends.

        Args:
            wake: Makes the process claim soon.
        """
        self._wake = wake

    def close(self) -> None:
        """From now on each lease ends by a call of its own: the process claims no more. Safe to call again."""
        self._wake = None
        for ending in self._taken(len(self._waiting)):
            _answer(ending, _Outcome.NOT_ENDED)

    async def end(self, tenant_id: str, fence: int, item_ids: Sequence[str], *, has_more: bool) -> bool:
        """Acknowledge the last items of a lease and end it. Safe to call again.

        Args:
            tenant_id: The mailbox's tenant.
            fence: The fence of the lease.
            item_ids: All items that are left under the lease.
            has_more: Whether the mailbox is known to have further items: then the end does not wait.

        Returns:
            Whether the mailbox is due again, or may be, and no claim of this process is known to have leased it since.

        Raises:
            LeaseLostError: The lease is lost.
            MeshError: Ingest or its database cannot be reached; the lease may have ended.
        """
        with STEP_SECONDS.labels("settle").time():
            outcome = _Outcome.NOT_ENDED
            if self._wake is not None:
                outcome = await self._collected(tenant_id, fence, item_ids, has_more=has_more)
            if outcome is _Outcome.ENDED:
                return False
            is_due = await self._inbox.ack(tenant_id, fence, item_ids, keep=False)
            # Ingest says whether a mailbox is due to the call alone that ends the lease, and that one may be lost.
            return is_due or outcome is _Outcome.UNKNOWN

    async def claim(self, max_items: int, max_tenants: int) -> Sequence[inbox_pb2.TenantLease]:
        """Claim due items, and end the leases that wait for it.

        Raises:
            MeshError: Ingest or its database cannot be reached. Each of the leases ends by a call of its own.
        """
        taken = self._taken(self.next_count)
        try:
            answer = await self._inbox.claim(max_items, max_tenants, endings=[ending.message for ending in taken])
        except BaseException:
            for ending in taken:
                _answer(ending, _Outcome.UNKNOWN)
            raise
        # An Ingest of an earlier release answers none of them.
        for ending, ended in zip(taken, answer.endings, strict=False):
            if ended.is_lost:
                _lose(ending)
            else:
                _answer(ending, _Outcome.NOT_ENDED if ended.has_more_items else _Outcome.ENDED)
        for ending in taken[len(answer.endings) :]:
            _answer(ending, _Outcome.NOT_ENDED)
        return list(answer.leases)

    async def _collected(self, tenant_id: str, fence: int, item_ids: Sequence[str], *, has_more: bool) -> _Outcome:
        message = inbox_pb2.LeaseEnding(tenant_id=tenant_id, fence=fence, item_ids=item_ids)
        ending = _Ending(message, asyncio.get_running_loop().create_future())
        self._waiting.append(ending)
        if has_more or len(self._waiting) >= MOST:
            self._claim_now()
        else:
            self._start_timer()
        try:
            await asyncio.wait([ending.outcome], timeout=self._longest_wait_seconds)
            if ending in self._waiting:
                return _Outcome.NOT_ENDED
            return await ending.outcome  # a claim has it, which has a short deadline
        finally:
            ending.outcome.cancel()
            if ending in self._waiting:  # no claim came, or the caller was cancelled
                self._waiting.remove(ending)

    def _claim_now(self) -> None:
        self._stop_timer()
        if self._wake is not None and self._waiting:
            self._wake()

    def _taken(self, count: int) -> list[_Ending]:
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._stop_timer()
        if self._waiting:
            self._start_timer()
        return taken

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT_SECONDS, self._claim_now)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _answer(ending: _Ending, outcome: _Outcome) -> None:
    if not ending.outcome.done():
        ending.outcome.set_result(outcome)


def _lose(ending: _Ending) -> None:
    if not ending.outcome.done():
        ending.outcome.set_exception(LeaseLostError())
