"""Threads of plain steps: apart from the process's other threads, bounded, and given up when a step does not return."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import structlog
from typing_extensions import override

from services.meshkit.errors import Overloaded
from services.workflows.metrics import THREADS_LOST

logger = structlog.get_logger(__name__)
RUN: ContextVar[str] = ContextVar("run")
"""The run whose steps the context runs."""
_MAX_WAIT_SECONDS = 5.0


class StepThreads(ThreadPoolExecutor):
    """The default executor of an event loop, in which LangGraph runs plain steps.

    Nothing can end a thread. A step that goes on behind its attempt keeps its thread, which is lost: it may still act.
    Other steps get a thread in its place until as many are lost as may run at once; then the process has to end. No
    thread of a step keeps it from that. Calls that are no step have the threads of the base class.

    The steps that wait for a thread are those of the runs that the process runs at once.

    Args:
        most: The largest number of steps that run at once, and of threads that are lost.
        wait_seconds: The time that all lost threads have to return before the process ends.
    """

    def __init__(self, most: int, wait_seconds: float = _MAX_WAIT_SECONDS) -> None:
        super().__init__(thread_name_prefix="workflows")
        self._most, self._wait_seconds = most, wait_seconds
        self._guard = threading.Lock()
        self._waiting: deque[tuple[_Call, Callable[[], Any]]] = deque()
        self._busy: set[_Call] = set()
        self._lost: set[_Call] = set()
        self._all_lost = asyncio.Event()

    @property
    def is_exhausted(self) -> bool:
        """Whether as many threads are lost as may be: no further run may begin."""
        return len(self._lost) >= self._most

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a function in a thread; a step waits while as many run as may run at once."""
        run_id = RUN.get("")
        if not run_id:
            return super().submit(fn, *args, **kwargs)
        call = _Call(run_id, self._lose)
        with self._guard:
            self._waiting.append((call, partial(fn, *args, **kwargs)))
            self._start_waiting()
        return call

    async def until_exhausted(self) -> None:
        """Wait until all threads are lost, and stay so: then the process has to end, so that another takes its place.

        Raises:
            Overloaded: That is so.
        """
        while True:
            await self._all_lost.wait()
            await asyncio.sleep(self._wait_seconds)  # steps of runs that were cancelled together return
            if self.is_exhausted:
                logger.error("plain steps that do not return hold all threads: the process ends", lost=len(self._lost))
                raise Overloaded(metadata={"bound": "step_threads"})
            self._all_lost.clear()

    def _start_waiting(self) -> None:
        """Give threads to the steps that wait. Under the lock."""
        while self._waiting and len(self._busy) < self._most:
            call, work = self._waiting.popleft()
            if not call.set_running_or_notify_cancel():
                continue
            self._busy.add(call)
            thread = threading.Thread(target=self._work, args=(call, work), name="step", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # the machine has no thread left
                self._busy.discard(call)
                call.set_exception(exc)

    def _work(self, call: "_Call", work: Callable[[], Any]) -> None:
        try:
            result = work()
        except BaseException as exc:  # noqa: BLE001 - the attempt raises it
            self._end(call)
            call.set_exception(exc)
        else:
            self._end(call)
            call.set_result(result)

    def _end(self, call: "_Call") -> None:
        with self._guard:
            self._busy.discard(call)
            self._lost.discard(call)
            THREADS_LOST.set(len(self._lost))
            self._start_waiting()

    def _lose(self, call: "_Call") -> None:
        """Count a thread whose attempt has ended. asyncio cancels calls in the thread of the event loop."""
        with self._guard:
            if call not in self._busy:
                return
            self._busy.discard(call)
            self._lost.add(call)
            lost = len(self._lost)
            THREADS_LOST.set(lost)
            if self.is_exhausted:
                self._all_lost.set()
            else:
                self._start_waiting()
        logger.warning("a plain step goes on behind its attempt and may still act", run_id=call.run_id, lost=lost)


class _Call(Future[Any]):
    """A step in a thread, or on its way there.

    Args:
        run_id: The run.
        lose: Called when the call is cancelled while it runs.
    """

    def __init__(self, run_id: str, lose: Callable[["_Call"], None]) -> None:
        super().__init__()
        self.run_id, self._lose = run_id, lose

    @override
    def cancel(self) -> bool:
        """Cancel a call that waits. One that runs goes on, and its thread is lost."""
        is_cancelled = super().cancel()
        if not is_cancelled:
            self._lose(self)
        return is_cancelled
