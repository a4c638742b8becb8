"""The one way in which an outermost loop outlives its failures.

A failure that names its cause (`MeshError`, or `OSError`: no file descriptor is free, a disk is full or read-only) is
logged and counted. Any other exception is unexpected: it is counted as such besides, and logged with its traceback.
In both cases the loop goes on, after a pause that grows with each failure in a row. So no loop ends unnoticed while
its process looks healthy.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.log_budget import LogBudget
from services.meshkit.metrics import LOOP_RUNS, UNEXPECTED

logger = structlog.get_logger(__name__)

Result = TypeVar("Result")

LONGEST_PAUSE_SECONDS = 60.0
_DOUBLINGS = 10
_LINES, _PERIOD_SECONDS = 10, 60.0


def heed_cancellation() -> None:
    """End the task here if it was cancelled and has not noticed.

    A task that is cancelled cleans up, and when that fails (a connection that is just gone cannot be given back) the
    failure takes the cancellation's place. A loop that lives through failures would then live for ever, so each asks
    this before it goes on.

    Raises:
        asyncio.CancelledError: This task was cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Guard:
    """Survives the failures of one loop, and decides how long the loop pauses.

    Args:
        name: The name of the loop, for logs and metrics.
        pause_seconds: The pause without a failure. It doubles with each failure in a row.
        longest_seconds: The longest pause.
        jitter: The share of a pause by which pauses differ, so that processes do not march in step.
    """

    def __init__(
        self,
        name: str,
        pause_seconds: float = 0.5,
        longest_seconds: float = LONGEST_PAUSE_SECONDS,
        *,
        jitter: float = 0.2,
    ) -> None:
        self.failures = 0
        """The number of failures since the last success."""
        self._name = name
        self._pause_seconds = pause_seconds
        self._longest_seconds = max(pause_seconds, longest_seconds)
        self._jitter = jitter
        self._budget = LogBudget(_LINES, _PERIOD_SECONDS)

    @property
    def pause_seconds(self) -> float:
        """The pause that is due now."""
        seconds = min(self._pause_seconds * 2.0 ** min(self.failures, _DOUBLINGS), self._longest_seconds)
        return seconds * (1 + random.uniform(-self._jitter, self._jitter))  # noqa: S311 - spreads load, guards nothing

    async def attempt(self, work: Callable[[], Awaitable[Result]]) -> Result | None:
        """Run one round of the loop's work.

        Args:
            work: The round.

        Returns:
            The result of the round. None after a failure, which is then logged and counted in `failures`.

        Raises:
            asyncio.CancelledError: The loop was cancelled.
        """
        heed_cancellation()
        try:
            result = await work()
        except Exception as exc:  # noqa: BLE001 - `_note` logs and counts each of them
            self._note(exc)
            heed_cancellation()  # before the pause: the failure of a clean-up may have taken the cancellation's place
            return None
        self.failures = 0
        LOOP_RUNS.labels(self._name, "ok").inc()
        return result

    async def until_cancelled(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run rounds one after the other, with a pause after each failure. Goes on until it is cancelled.

        Args:
            work: One round. It waits inside until there is something to do.
        """
        while True:
            await self.attempt(work)
            if self.failures:
                await asyncio.sleep(self.pause_seconds)

    def _note(self, exc: Exception) -> None:
        self.failures += 1
        LOOP_RUNS.labels(self._name, "failed").inc()
        is_named = isinstance(exc, (MeshError, OSError))  # a TimeoutError is an OSError
        if not is_named:
            UNEXPECTED.labels(self._name).inc()
        left_out = self._budget.admit(type(exc).__name__)
        if left_out is None:
            return
        facts = {"loop": self._name, "failures": self.failures, "left_out": left_out}
        if is_named:
            logger.warning("round failed", error=_name(exc), **facts)
        else:
            logger.error("round failed", error_id=new_id(), exc_info=exc, **facts)


def _name(exc: Exception) -> str:
    """Name a failure: its reason, or the system's word for it."""
    if isinstance(exc, MeshError):
        return exc.reason
    strerror = getattr(exc, "strerror", None)
    return f"{type(exc).__name__}: {strerror}" if strerror else type(exc).__name__
