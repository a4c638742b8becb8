"""Run what is due: lease runs, make their attempts beside each other, and record the outcome of each."""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.loops import cancel
from services.workflows.engine import outcomes
from services.workflows.engine.attempt import Attempts
from services.workflows.engine.failures import LeaseLost, describe
from services.workflows.engine.threads import StepThreads
from services.workflows.metrics import ATTEMPT_SECONDS, ATTEMPTS, RUNNING
from services.workflows.store import runs
from services.workflows.store.rows import Lease, RunRow, State

logger = structlog.get_logger(__name__)
_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 300.0
_OVERDUE = 100
_RENEWALS = 3
"""The times that a lease is extended within its duration."""


@dataclass(frozen=True)
class RunLimits:
    """The bounds of runs.

    Args:
        at_once: The largest number of runs whose steps one process runs.
        attempts: The largest number of attempts from one checkpoint to the next.
        attempt: The longest duration of one attempt.
        run: The longest duration from a start, or from an answer, to the end or the next question.
        wait: The longest wait for an answer.
        lease: The duration of a lease; it is extended while the process lives.
    """

    at_once: int
    attempts: int
    attempt: timedelta
    run: timedelta
    wait: timedelta
    lease: timedelta


class Runner:
    """Runs the runs of this process.

    Args:
        pool: Connections to PostgreSQL.
        attempts: Makes attempts.
        limits: The bounds.
        threads: The threads of plain steps.
    """

    def __init__(self, pool: db.Pool, attempts: Attempts, limits: RunLimits, threads: StepThreads) -> None:
        self._pool, self._attempts, self._limits, self._threads = pool, attempts, limits, threads
        self._running: set[asyncio.Task[None]] = set()

    async def round(self) -> int:
        """Begin runs that are due, as many as there is room for; return their number. For a periodic loop."""
        free = self._limits.at_once - len(self._running)
        if free <= 0 or not self._attempts.names or self._threads.is_exhausted:
            return 0
        lease_id = new_id()
        async with db.transaction(self._pool) as connection:
            rows = await runs.claim(connection, lease_id, self._limits.lease, self._attempts.names, free)
        for row in rows:
            task = asyncio.create_task(self._hold(row, Lease(row.tenant_id, row.run_id, lease_id)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return len(rows)

    async def end_overdue(self) -> int:
        """Fail runs that are past their deadline; return their number. For a periodic loop, in several processes."""
        ended = 0
        while ended < _OVERDUE and await self._end_one_overdue():
            ended += 1
        return ended

    async def _end_one_overdue(self) -> bool:
        """Fail one run in a transaction of its own: one that cannot be ended takes back the end of no other."""
        async with db.transaction(self._pool) as connection:
            rows = await runs.overdue(connection, 1)
            for row in rows:
                await outcomes.finish(connection, row, State.FAILED, reason="DEADLINE_EXCEEDED")
            return bool(rows)

    async def aclose(self) -> None:
        """End the attempts of this process; other processes continue their runs at once. Safe to call again."""
        await cancel(self._running)

    async def _hold(self, row: RunRow, lease: Lease) -> None:
        """Make one attempt while its lease is extended."""
        RUNNING.inc()
        work = asyncio.create_task(self._attempt(row, lease))
        pause = self._limits.lease.total_seconds() / _RENEWALS
        try:
            while not (await asyncio.wait([work], timeout=pause))[0]:
                if not await self._extended(lease):
                    await cancel([work])
                    return
            await work
        except asyncio.CancelledError:
            await cancel([work])
            await self._give_back(lease)
            raise
        except (MeshError, OSError) as exc:
            # The outcome could not be stored: the lease ends by itself, and another attempt continues.
            logger.warning("the outcome of an attempt is not stored", run_id=row.run_id, error=type(exc).__name__)
        finally:
            RUNNING.dec()

    async def _extended(self, lease: Lease) -> bool:
        """Extend the lease; a database that is away ends nothing before the lease does."""
        try:
            async with db.connection(self._pool) as connection:
                return await runs.extend(connection, lease, self._limits.lease)
        except MeshError:
            return True  # without the lease no checkpoint and no outcome is stored

    async def _give_back(self, lease: Lease) -> None:
        async with db.connection(self._pool) as connection:
            await runs.give_back(connection, lease, timedelta(0), uncounted=1)

    async def _attempt(self, row: RunRow, lease: Lease) -> None:
        if row.attempts > self._limits.attempts:
            # The process ended in each of the attempts before, so that no failure was recorded.
            await self._fail(row, lease, "PROCESS_LOST", "")
            return
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.attempt.total_seconds()):
                question = await self._attempts.run(row, lease.lease_id)
        except LeaseLost:
            ATTEMPTS.labels(row.workflow, "lease_lost").inc()
            return
        except Exception as exc:  # noqa: BLE001 - the operator's code may raise anything; the run says what
            ATTEMPTS.labels(row.workflow, "failed").inc()
            await self._failed(row, lease, exc)
            return
        finally:
            ATTEMPT_SECONDS.observe(time.monotonic() - began)
        async with db.transaction(self._pool) as connection:
            if question is None:
                await outcomes.finish(connection, row, State.SUCCEEDED, lease_id=lease.lease_id)
            else:
                wait = self._limits.wait
                await outcomes.ask(connection, lease, question.question_id, question.sealed, wait)
        ATTEMPTS.labels(row.workflow, "asked" if question else "succeeded").inc()

    async def _failed(self, row: RunRow, lease: Lease, error: Exception) -> None:
        reason, detail, may_repeat = describe(error)
        logger.warning("an attempt failed", run_id=row.run_id, workflow=row.workflow, reason=reason, detail=detail)
        # Checkpoints of this attempt have set the count back.
        async with db.connection(self._pool) as connection:
            now = await runs.get(connection, [row.tenant_id], row.run_id)
        attempts = now.attempts if now else row.attempts
        if not may_repeat or attempts >= self._limits.attempts:
            await self._fail(row, lease, reason, detail)
            return
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(max(attempts - 1, 0), 10), _LONGEST_PAUSE_SECONDS)
        spread = timedelta(seconds=pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, guards nothing
        async with db.connection(self._pool) as connection:
            await runs.give_back(connection, lease, spread, reason=reason, detail=detail)

    async def _fail(self, row: RunRow, lease: Lease, reason: str, detail: str) -> None:
        async with db.transaction(self._pool) as connection:
            await outcomes.finish(connection, row, State.FAILED, reason=reason, detail=detail, lease_id=lease.lease_id)
