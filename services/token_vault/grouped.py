"""Doing for many callers at once what costs the same for one: whatever has come in meanwhile is one group."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from services.meshkit.errors import MeshError, Overloaded, StoreUnavailable, Unexpected

Item = TypeVar("Item")
Result = TypeVar("Result")
_WAIT_SECONDS = 10.0


class Grouped(Generic[Item, Result]):
    """Collects items and works on them in groups, one group at a time or a few.

    While a group is worked on the next one fills, so the group's size follows the load by itself and a lone caller does
    not wait for company.

    Args:
        name: For the failure when it is full.
        work: Gets a group, returns as many results in the same order. What it raises is raised to all of the group.
        group_size: The most in one group.
        pending: The most that wait; past it callers are turned away at once.
        lanes: Groups that are worked on at the same time: with two, one is made ready while the other is committed.
        gather_seconds: What the next group is given to gather after one of several. A lone caller does not wait for it.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        group_size: int,
        pending: int,
        lanes: int = 1,
        gather_seconds: float = 0.0,
    ) -> None:
        self._name = name
        self._work = work
        self._group_size = group_size
        self._pending = pending
        self._lanes = lanes
        self._gather_seconds = gather_seconds
        self._waiting: deque[tuple[Item, asyncio.Future[Result], float]] = deque()
        self._workers: set[asyncio.Task[None]] = set()

    async def do(self, item: Item) -> Result:
        """Has an item worked on and waits for its result.

        Raises:
            Overloaded: Too many wait already.
            StoreUnavailable: Its turn did not come within ten seconds. The work itself has time limits of its own.
        """
        if len(self._waiting) >= self._pending:
            raise Overloaded(metadata={"bound": self._name})
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future, time.monotonic()))
        if len(self._workers) < self._lanes:
            worker = asyncio.create_task(self._run(), name=f"{self._name} groups")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await future

    async def _run(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(self._group_size, len(self._waiting)))]
            too_old = time.monotonic() - _WAIT_SECONDS
            _fail([(item, future) for item, future, since in group if since < too_old], StoreUnavailable())
            wanted = [(item, future) for item, future, _ in group if not future.done()]
            if wanted:
                await self._settle(wanted)
            if len(group) > 1 and self._gather_seconds:
                await asyncio.sleep(self._gather_seconds)

    async def _settle(self, group: "list[tuple[Item, asyncio.Future[Result]]]") -> None:
        try:
            results = await self._work([item for item, _ in group])
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)
        except MeshError as exc:
            _fail(group, exc)
        finally:
            _fail(group, Unexpected())  # whoever has no answer by now would wait for ever


def _fail(group: "list[tuple[Item, asyncio.Future[Result]]]", error: MeshError) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
