"""The one writer of the inbox: takes whatever has arrived as soon as its previous commit has returned.

Under little load a notification is committed at once and alone. Under much load many share a commit: after one that
took several, those that come next are given a moment to gather, since a commit costs the database and us much the same
for one and for twenty. What waits is bounded: past the bound a webhook is refused at once, so that the provider comes
again, rather than put into a queue that grows.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from services.ingest.metrics import BUFFERED, COMMIT_SECONDS, GROUP_SIZE
from services.ingest.store.items import Accepted, NewItem
from services.meshkit.errors import MeshError, Overloaded, ShuttingDown, StoreUnavailable
from services.meshkit.metrics import UNEXPECTED

logger = structlog.get_logger(__name__)

Accept = Callable[[Sequence[NewItem], float], Awaitable[Accepted]]


@dataclass(frozen=True)
class WriterLimits:
    """Bounds of the writer.

    Args:
        commit_seconds: From being handed over to being on disk.
        buffered: Items that wait at most. One POST that is larger is let through when nothing else waits.
        group: Items that one commit takes at most, but for a POST that alone is larger.
        gather_seconds: What the next POSTs wait after a commit that took more than one.
    """

    commit_seconds: float = 2.0
    buffered: int = 5_000
    group: int = 1_000
    gather_seconds: float = 0.003


@dataclass(slots=True, eq=False)
class _Waiting:
    items: Sequence[NewItem]
    done: asyncio.Future[None]
    gives_up_at: float


class GroupWriter:
    """Commits items in groups.

    Args:
        accept: Commits items within seconds.
        limits: Bounds.
        on_due: Told after each commit which tenants have something due that had nothing before.
    """

    def __init__(self, accept: Accept, limits: WriterLimits, on_due: Callable[[Sequence[str]], None]) -> None:
        self._accept = accept
        self._limits = limits
        self._on_due = on_due
        self._queue: deque[_Waiting] = deque()
        self._pending: deque[_Waiting] = deque()
        self._buffered = 0
        self._something = asyncio.Event()
        self._is_closed = False

    def admit(self, count: int = 1) -> None:
        """Says whether there is room, before any work is done for a POST.

        Raises:
            Overloaded: There is none.
        """
        if self._buffered and self._buffered + count > self._limits.buffered:
            raise Overloaded(metadata={"bound": "buffered_notifications"})

    async def write(self, items: Sequence[NewItem]) -> None:
        """Returns when the items are on disk. Safe to call again: a repeat makes nothing.

        Args:
            items: Of one POST. None returns at once.

        Raises:
            Overloaded: The buffer is full.
            StoreUnavailable: They could not be committed in time; it is not certain that they are not.
            ShuttingDown: The writer has ended.
        """
        if not items:
            return
        self.admit(len(items))
        if self._is_closed:
            raise ShuttingDown
        loop = asyncio.get_running_loop()
        waiting = _Waiting(items, loop.create_future(), loop.time() + self._limits.commit_seconds)
        self._queue.append(waiting)
        self._pending.append(waiting)
        self._buffered += len(items)
        self._something.set()
        await waiting.done

    async def run(self) -> None:
        """Writes until it is cancelled; what waits then is refused."""
        BUFFERED.set_function(lambda: self._buffered)
        impatience = asyncio.create_task(self._give_up())
        try:
            while True:
                await self._something.wait()
                self._something.clear()
                while self._queue:
                    group = self._take()
                    await self._write_group(group)
                    if len(group) > 1:
                        await asyncio.sleep(self._limits.gather_seconds)
        finally:
            impatience.cancel()
            self._is_closed = True
            self._settle(list(self._pending), ShuttingDown)
            self._queue.clear()
            self._buffered = 0

    async def _give_up(self) -> None:
        """Refuses what has waited for too long. All wait equally long, so the oldest is the first."""
        loop = asyncio.get_running_loop()
        while True:
            while self._pending and self._pending[0].gives_up_at <= loop.time():
                self._settle([self._pending[0]], StoreUnavailable)
            ahead = self._pending[0].gives_up_at - loop.time() if self._pending else self._limits.commit_seconds / 4
            await asyncio.sleep(min(max(ahead, 0.0), self._limits.commit_seconds / 4))

    def _take(self) -> list[_Waiting]:
        """Takes what fits into one commit, leaving out those that nobody waits for any more."""
        group: list[_Waiting] = []
        size = 0
        while self._queue and (not group or size + len(self._queue[0].items) <= self._limits.group):
            waiting = self._queue.popleft()
            self._buffered -= len(waiting.items)
            if not waiting.done.done():
                group.append(waiting)
                size += len(waiting.items)
        return group

    async def _write_group(self, group: list[_Waiting]) -> None:
        items = _distinct(group)
        if not items:
            return
        started = time.perf_counter()
        try:
            accepted = await self._accept(items, self._limits.commit_seconds)
        except MeshError as exc:
            logger.warning("group not committed", items=len(items), error=exc.reason)
            self._settle(group, StoreUnavailable)
        except Exception:
            UNEXPECTED.labels("writer").inc()
            logger.exception("group not committed", items=len(items))
            self._settle(group, StoreUnavailable)
        except BaseException:
            self._settle(group, ShuttingDown)
            raise
        else:
            self._settle(group, None)
            GROUP_SIZE.observe(len(items))
            COMMIT_SECONDS.observe(time.perf_counter() - started)
            self._on_due(accepted.due_tenant_ids)

    def _settle(self, group: Sequence[_Waiting], failure: type[MeshError] | None) -> None:
        for waiting in group:
            if waiting.done.done():
                continue
            if failure is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(failure())
        while self._pending and self._pending[0].done.done():
            self._pending.popleft()


def _distinct(group: Sequence[_Waiting]) -> list[NewItem]:
    """All items of a group, repeats within it left out: a statement sees its own repeats only too late."""
    seen: set[str] = set()
    items: list[NewItem] = []
    for waiting in group:
        for item in waiting.items:
            keys = {item.key} if item.other_key is None else {item.key, item.other_key}
            if seen.isdisjoint(keys):
                items.append(item)
            seen |= keys
    return items
