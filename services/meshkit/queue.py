"""The seam to arq: wake-ups by Redis, without loss of work when Redis is gone.

A wake-up says "check this key". It may be lost, late or doubled: the woken worker reads PostgreSQL, and would have
found the work by itself a moment later. Jobs are JSON, results are not kept, ids never repeat (arq drops a job silently
while one of the same id runs).
"""

import asyncio
import errno
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import structlog
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from services.meshkit import correlation, tracing
from services.meshkit.errors import MeshError
from services.meshkit.guard import Guard, heed_cancellation
from services.meshkit.metrics import UNEXPECTED, WAKE_UPS, WORKER_RESTARTS
from services.meshkit.secret import Secret

logger = structlog.get_logger(__name__)

WAKE = "wake"
_POLL_SECONDS = 0.02
_SEND_SECONDS = 0.5
_PAUSE_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
_GRACE_SECONDS = 10.0
_EXPIRES_SECONDS = 600
_MAX_PENDING = 10_000

Wake = Callable[[str], Awaitable[None]]
"""The job of a woken worker: it gets the key, reads the truth, returns. Safe to call again."""


def dumps(job: dict[str, Any]) -> bytes:
    """Write a job as JSON; an exception among it becomes the name of its type."""
    return json.dumps(job, default=lambda foreign: type(foreign).__name__, separators=(",", ":")).encode()


def loads(raw: bytes) -> dict[str, Any]:
    """Read a job."""
    job: dict[str, Any] = json.loads(raw)
    return job


class WakeQueue:
    """Sends wake-ups in the background. Never blocks and never fails the caller.

    Keys that wait to be sent count once. While Redis is away at most 10,000 wait; further keys are dropped and
    counted, and so are keys that could not be sent.

    Args:
        redis: A client for the queue; `WakeQueue.open` makes it.
        queue: The queue's name.
    """

    def __init__(self, redis: ArqRedis, queue: str) -> None:
        self._redis = redis
        self._queue = queue
        self._pending: dict[str, tuple[float, str, str]] = {}
        self._something = asyncio.Event()
        self._prefix = secrets.token_hex(4)
        self._counter = itertools.count()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: Secret | None, queue: str) -> AsyncIterator["WakeQueue"]:
        """Open the queue, and close it behind the block. Redis need not be there.

        Args:
            url: `redis://...`, or None for a queue that drops everything.
            queue: Its name, the same for sender and worker.
        """
        redis = redis_client(url or Secret("redis://127.0.0.1:0"), queue)
        wake_queue = cls(redis, queue)
        sender = asyncio.create_task(wake_queue.run() if url else wake_queue.discard(), name=f"{queue} wake-ups")
        try:
            yield wake_queue
        finally:
            sender.cancel()
            with suppress(asyncio.CancelledError):
                await sender
            await redis.aclose(close_connection_pool=True)

    def wake(self, key: str, after_seconds: float = 0.0) -> None:
        """Ask for a worker that checks a key. Safe to call again.

        Args:
            key: An id. It is all that Redis learns.
            after_seconds: The earliest time of the wake-up.
        """
        if len(self._pending) >= _MAX_PENDING and key not in self._pending:
            WAKE_UPS.labels(self._queue, "dropped").inc()
            return
        self._pending[key] = (after_seconds, correlation.correlation_id(), tracing.traceparent())
        self._something.set()

    async def ping(self) -> None:
        """Ask Redis for an answer.

        Raises:
            OSError: Redis does not answer.
        """
        try:
            await self._redis.ping()
        except RedisError as exc:
            raise ConnectionError(type(exc).__name__) from exc

    async def run(self) -> None:
        """Send pending wake-ups until cancelled."""
        await Guard(f"{self._queue} wake-ups", _PAUSE_SECONDS).until_cancelled(self._send_pending)

    async def _send_pending(self) -> None:
        await self._something.wait()
        while self._pending:
            key = next(iter(self._pending))
            if not await self._send(key, *self._pending.pop(key)):
                await asyncio.sleep(_PAUSE_SECONDS)
            heed_cancellation()  # the client may have lost it, see `_end`
        self._something.clear()

    async def discard(self) -> None:
        """Drop pending wake-ups, for a mesh without Redis."""
        while True:
            await self._something.wait()
            self._something.clear()
            self._pending.clear()

    async def _send(self, key: str, after_seconds: float, correlation_id: str, parent: str) -> bool:
        job_id = f"{WAKE}:{key}:{self._prefix}-{next(self._counter)}"
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._redis.enqueue_job(
                    WAKE, key, correlation_id, parent, _job_id=job_id, _queue_name=self._queue,
                    _defer_by=after_seconds, _expires=_EXPIRES_SECONDS + after_seconds,
                )  # fmt: skip
        except (RedisError, OSError) as exc:  # a TimeoutError is an OSError
            WAKE_UPS.labels(self._queue, "failed").inc()
            logger.warning("wake-up not sent", queue=self._queue, error=type(exc).__name__)
            return False
        WAKE_UPS.labels(self._queue, "sent").inc()
        return True


async def work(url: Secret, queue: str, wake: Wake, *, at_once: int = 10, job_seconds: float = 300.0) -> None:
    """Run an arq worker until it is cancelled; it starts again whenever Redis comes back.

    Args:
        url: `redis://...`.
        queue: The queue's name.
        wake: The work on a key. Its exceptions are logged and counted; the wake-up is over in any case.
        at_once: Jobs at the same time.
        job_seconds: The time limit of one job.
    """
    guard = Guard(f"{queue} worker", _PAUSE_SECONDS / 2, longest_seconds=_PAUSE_SECONDS)
    await guard.until_cancelled(lambda: _work_once(_worker(url, queue, wake, at_once, job_seconds), queue))


async def _work_once(worker: Worker, queue: str) -> None:
    """Run a worker until Redis is lost."""
    running = asyncio.create_task(worker.async_run())
    try:
        await asyncio.shield(running)
    except Exception as exc:
        WORKER_RESTARTS.labels(queue).inc()
        if isinstance(exc, RedisError):
            raise ConnectionError(errno.ENOTCONN, f"Redis is lost: {type(exc).__name__}") from exc
        raise
    finally:
        worker.allow_pick_jobs = False
        await _end(running)
        await _close(worker)


def redis_client(url: Secret, queue: str) -> ArqRedis:
    """Make a bounded client that connects when it is used."""
    pool = BlockingConnectionPool.from_url(
        url.reveal(), max_connections=4, timeout=_SEND_SECONDS,
        socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_SEND_SECONDS,
    )  # fmt: skip
    return ArqRedis(pool, job_serializer=dumps, job_deserializer=loads, default_queue_name=queue)


def _worker(url: Secret, queue: str, wake: Wake, at_once: int, job_seconds: float) -> Worker:
    async def woken(_context: dict[str, Any], key: str, correlation_id: str, parent: str) -> None:
        with correlation.correlated(correlation_id), tracing.span("wake", parent=parent):
            await _run(wake, key, queue)

    return Worker(
        [func(cast("WorkerCoroutine", woken), name=WAKE, max_tries=1)],
        redis_pool=redis_client(url, queue),
        queue_name=queue,
        poll_delay=_POLL_SECONDS,
        keep_result=0,
        max_jobs=at_once,
        job_timeout=job_seconds,
        handle_signals=False,
        log_results=False,
        job_serializer=dumps,
        job_deserializer=loads,
    )


async def _run(wake: Wake, key: str, queue: str) -> None:
    try:
        await wake(key)
    except (MeshError, OSError) as exc:
        WAKE_UPS.labels(queue, "work_failed").inc()
        logger.warning("woken work failed", queue=queue, error=getattr(exc, "reason", "") or type(exc).__name__)
    except Exception:
        UNEXPECTED.labels(queue).inc()
        logger.exception("woken work failed", queue=queue)
    else:
        WAKE_UPS.labels(queue, "worked").inc()


async def _end(running: "asyncio.Task[None]") -> None:
    """Cancels a task until it has ended.

    Once is not enough: the Redis client writes under `asyncio.wait_for`, and on Python 3.11 that loses a cancellation
    which comes in the moment when the write is done. arq's loop would then go on for ever.
    """
    while not running.done():
        running.cancel()
        await asyncio.wait([running], timeout=_POLL_SECONDS)


async def _close(worker: Worker) -> None:
    """Give the running jobs some time and cancel the rest. arq's own `close` cancels at once."""
    running = [*worker.tasks.values()]
    if running:
        _, late = await asyncio.wait(running, timeout=_GRACE_SECONDS)
        for task in [*late, *worker.job_tasks.values()]:
            task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await worker.pool.aclose(close_connection_pool=True)
