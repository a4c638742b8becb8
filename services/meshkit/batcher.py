"""Group commit: many callers share one transaction.

While one group is processed the next one fills, so the size of a group follows the load by itself. Under little load an
item is processed at once and alone. Under much load a short pause after a group of several lets the next group gather,
because a commit costs nearly the same for one item and for twenty. The buffer is bounded: beyond the bound a caller is
refused at once, so that it retries, instead of joining a queue that grows.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import structlog

from services.meshkit.errors import MeshError, Overloaded, ShuttingDown, StoreUnavailable, Unexpected
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED

logger = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class BatchLimits:
    """Bounds of a batcher.

    Args:
        buffered: The largest weight that may wait. A heavier item is admitted when nothing else waits.
        group: The largest weight of one group, unless a single item is heavier.
        wait_seconds: The longest time from handing an item over until its result, or its failure.
        lanes: The number of groups that are processed at the same time. With two, one group is prepared while the
            other is committed.
        gather_seconds: The pause after a group of several, in which the next group gathers. A lone caller never waits
            for it.
    """

    buffered: int
    group: int
    wait_seconds: float = 10.0
    lanes: int = 1
    gather_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    weight: int
    result: "asyncio.Future[Result]"
    gives_up_at: float


class Batcher(Generic[Item, Result]):
    """Collects the items of concurrent callers and processes them in groups.

    The batcher starts a task when the first item arrives and ends it when no item is left. That task belongs to no
    caller: it has neither the deadline nor the correlation id of one.

    Args:
        name: The name of the bound in `Overloaded`, in logs and in metrics.
        work: Processes a group and returns one result for each item, in the same order. It has time limits of its own.
        limits: The bounds.
    """

    def __init__(
        self, name: str, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], limits: BatchLimits
    ) -> None:
        self._name = name
        self._work = work
        self._limits = limits
        self._queue: deque[_Waiting[Item, Result]] = deque()
        # In order of arrival, and everyone waits equally long, so the first one gives up first.
        self._unanswered: deque[_Waiting[Item, Result]] = deque()
        self._buffered = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def buffered(self) -> int:
        """The weight that waits for its group."""
        return self._buffered

    def admit(self, weight: int = 1) -> None:
        """Check that the buffer has room, before a caller prepares an item.

        Raises:
            Overloaded: The buffer is full.
        """
        if self._buffered and self._buffered + weight > self._limits.buffered:
            raise Overloaded(metadata={"bound": self._name})

    async def do(self, item: Item, weight: int = 1) -> Result:
        """Process an item together with others and return its result.

        A caller that is cancelled takes only its own item with it, and only while that item still waits for its group.

        Args:
            item: The item.
            weight: Its share of the bounds.

        Raises:
            Overloaded: The buffer is full.
            StoreUnavailable: The result did not come in time. The item may be processed all the same.
            ShuttingDown: The batcher is closed.
            MeshError: The failure of the item's group.
            Unexpected: The group failed for a reason that its work does not name. The log has that reason.
        """
        self.admit(weight)
        if self._is_closed:
            raise ShuttingDown
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Result] = loop.create_future()
        waiting = _Waiting(item, weight, result, loop.time() + self._limits.wait_seconds)
        self._queue.append(waiting)
        self._unanswered.append(waiting)
        self._buffered += weight
        if self._timer is None:
            self._timer = loop.call_at(waiting.gives_up_at, self._give_up)
        if len(self._workers) < self._limits.lanes:
            self._start_worker(loop)
        return await result

    async def close(self) -> None:
        """Refuse every item that has no result yet, and every later one. Safe to call again."""
        self._is_closed = True
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers)
        _fail(self._unanswered, ShuttingDown())
        self._workers.clear()
        self._queue.clear()
        self._unanswered.clear()
        self._buffered = 0

    def _start_worker(self, loop: asyncio.AbstractEventLoop) -> None:
        self._workers.add(loop.create_task(self._run(), name=f"{self._name} groups", context=Context()))

    async def _run(self) -> None:
        while self._queue:
            group = self._take()
            if group:
                await self._process(group)
            if len(group) > 1 and self._limits.gather_seconds:
                await asyncio.sleep(self._limits.gather_seconds)
        # In the same step as the check of the queue. A done callback runs a step later: an item that arrives in
        # between would count on this worker, which checks the queue no more.
        self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _take(self) -> "list[_Waiting[Item, Result]]":
        """Take the items of one group, without those whose callers have gone or given up."""
        group: list[_Waiting[Item, Result]] = []
        weight = 0
        while self._queue and (not group or weight + self._queue[0].weight <= self._limits.group):
            waiting = self._queue.popleft()
            self._buffered -= waiting.weight
            if not waiting.result.done():
                group.append(waiting)
                weight += waiting.weight
        return group

    async def _process(self, group: "list[_Waiting[Item, Result]]") -> None:
        try:
            results = await self._work([waiting.item for waiting in group])
            for waiting, result in zip(group, results, strict=True):
                if not waiting.result.done():
                    waiting.result.set_result(result)
        except MeshError as exc:
            _fail(group, exc)
        except Exception as exc:  # noqa: BLE001 - logged and counted, and the callers of the group are told
            self._fail_unexpectedly(group, exc)
        except asyncio.CancelledError:
            _fail(group, ShuttingDown())
            raise
        finally:
            self._forget_answered()

    def _fail_unexpectedly(self, group: "list[_Waiting[Item, Result]]", cause: Exception) -> None:
        error_id = new_id()
        UNEXPECTED.labels(self._name).inc()
        logger.error("group failed", batcher=self._name, items=len(group), error_id=error_id, exc_info=cause)
        _fail(group, Unexpected(metadata={"error_id": error_id}))

    def _give_up(self) -> None:
        """Fail the items whose time is over, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        self._timer = None
        self._forget_answered()
        while self._unanswered and self._unanswered[0].gives_up_at <= loop.time():
            _fail([self._unanswered[0]], StoreUnavailable())
            self._forget_answered()
        if self._unanswered:
            self._timer = loop.call_at(self._unanswered[0].gives_up_at, self._give_up)

    def _forget_answered(self) -> None:
        while self._unanswered and self._unanswered[0].result.done():
            self._unanswered.popleft()


def _fail(waitings: "Iterable[_Waiting[Item, Result]]", error: MeshError) -> None:
    for waiting in waitings:
        if not waiting.result.done():
            waiting.result.set_exception(error)
