"""Periodic background work: due work is processed in rounds, and a failed round is only a later one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import structlog

from services.meshkit.correlation import correlated
from services.meshkit.errors import MeshError
from services.meshkit.guard import LONGEST_PAUSE_SECONDS, Guard
from services.meshkit.ids import new_id
from services.meshkit.metrics import LOOP_ITEMS, UNEXPECTED

logger = structlog.get_logger(__name__)

_Item = TypeVar("_Item")

IDLE_ROUNDS = 10
"""So many rounds in a row without anything to do make a loop idle."""


class PeriodicLoop:
    """Calls `work` again and again until it is cancelled.

    A round that did something is followed by the next at once, so a backlog is processed without waiting. A round that
    fails is logged and counted, and the next one waits longer each time, up to a minute or the time that is given.

    Args:
        name: For logs and metrics.
        interval_seconds: Between rounds that had nothing to do.
        work: One round. Returns how much it did; 0 means that nothing is due. Bounded in itself.
        jitter: The share of the interval by which waits differ, so that processes do not march in step.
        round_seconds: The time limit of one round; then it is cancelled and counts as failed.
        idle_factor: Times by which the waits of an idle loop are longer: for work that wakes the loop or can be late.
        may_idle: Says whether the waits may be longer now.
        longest_seconds: The longest wait after a failed round, before the jitter.
    """

    def __init__(
        self,
        name: str,
        interval_seconds: float,
        work: Callable[[], Awaitable[int]],
        *,
        jitter: float = 0.2,
        round_seconds: float = 300.0,
        idle_factor: float = 1.0,
        may_idle: Callable[[], bool] = lambda: True,
        longest_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        self._name = name
        self._idle_factor = idle_factor
        self._may_idle = may_idle
        self._idle_rounds = 0
        self._work = work
        self._round_seconds = round_seconds
        self._guard = Guard(name, interval_seconds, longest_seconds, jitter=jitter)
        self._woken = asyncio.Event()
        self._is_roused = False

    def wake(self) -> None:
        """Start the next round at once. Safe to call again: calls before the round starts count as one."""
        self._woken.set()

    def rouse(self) -> None:
        """End the longer waits of an idle loop, because work may fall due soon. Safe to call again.

        The wait behind a round that runs now is a short one too: the round may have looked too early for this work.
        """
        self._is_roused = True
        if self._idle_rounds >= IDLE_ROUNDS:
            self.wake()

    async def run(self) -> None:
        """Goes on until it is cancelled. The round that runs then is cancelled with it."""
        while True:
            self._woken.clear()
            with correlated():
                done = await self._guard.attempt(self._round)
            if done:
                self._idle_rounds = 0
                LOOP_ITEMS.labels(self._name).inc(done)
            else:
                self._idle_rounds = 0 if self._guard.failures or self._is_roused else self._idle_rounds + 1
                self._is_roused = False
                await self._wait()

    async def _round(self) -> int:
        async with asyncio.timeout(self._round_seconds):
            return await self._work()

    async def _wait(self) -> None:
        seconds = self._guard.pause_seconds
        if self._idle_rounds >= IDLE_ROUNDS and self._may_idle():
            seconds *= self._idle_factor
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
                self._idle_rounds = 0
        except TimeoutError:
            return


async def for_each(items: Iterable[_Item], work: Callable[[_Item], Awaitable[None]], *, at_once: int) -> None:
    """Work on all items, a bounded number at the same time. The first failure cancels the rest and is raised.

    Args:
        items: The items to process; as many workers as `at_once` are made, not as many as there are items.
        work: Processes one item.
        at_once: How many at the same time.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    await _together([worker() for _ in range(at_once)])


class Lanes:
    """Works on items beside each other, a bounded number at once, over many rounds.

    A slow item goes on in its lane while the next rounds use the others, so an item that hangs delays no other.

    Args:
        name: For logs and metrics.
        at_once: How many lanes there are.
        wait_seconds: How long a round waits for the items that it has started.
    """

    def __init__(self, name: str, at_once: int, wait_seconds: float = 1.0) -> None:
        self._name = name
        self._at_once = at_once
        self._wait_seconds = wait_seconds
        self._running: set[asyncio.Task[None]] = set()

    async def free(self) -> int:
        """Wait until a lane is free, and return the number of free lanes."""
        while len(self._running) >= self._at_once:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return self._at_once - len(self._running)

    async def start(self, items: Iterable[_Item], work: Callable[[_Item], Awaitable[object]]) -> None:
        """Start work on items, at most as many as there are free lanes, and wait for it a while.

        Args:
            items: The items to process.
            work: Processes one item. Its exceptions are logged and counted, and hinder no other item.
        """
        started = [asyncio.create_task(self._one(work(item))) for item in items]
        self._running.update(started)
        for task in started:
            task.add_done_callback(self._running.discard)
        if started:
            await asyncio.wait(started, timeout=self._wait_seconds)

    async def aclose(self) -> None:
        """Cancel the running work, and wait for its end. Safe to call again."""
        await cancel(self._running)

    async def _one(self, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception as exc:
            if not isinstance(exc, (MeshError, OSError)):
                UNEXPECTED.labels(self._name).inc()
            logger.exception("work failed", loop=self._name, error_id=new_id())


async def _together(workers: Iterable[Awaitable[None]]) -> None:
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        await cancel(tasks)


async def cancel(tasks: Iterable["asyncio.Future[Any]"]) -> None:
    """Cancel tasks and wait for their end, whatever it is. Safe to call again."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
