"""Wake-ups by Redis, without loss of work when Redis is gone.

A wake-up says "check this key". It may be lost, late or doubled: the woken worker reads PostgreSQL, and would have
found the work by itself a moment later. Wake-ups are the elements of a list. A worker waits in Redis for the next
one, so that nothing polls; each wake-up reaches one worker.
"""

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from services.meshkit import correlation, tracing
from services.meshkit.errors import MeshError
from services.meshkit.guard import Guard, heed_cancellation
from services.meshkit.metrics import UNEXPECTED, WAKE_UPS, WORKER_RESTARTS
from services.meshkit.secret import Secret

logger = structlog.get_logger(__name__)

_WAIT_SECONDS = 2  # less than the time for an answer, which would end the connection
_CANCEL_SECONDS = 0.02
_SEND_SECONDS = 0.5
_PAUSE_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
_GRACE_SECONDS = 10.0
_MAX_PENDING = 10_000

Wake = Callable[[str], Awaitable[None]]
"""The work of a woken worker: it gets the key, reads the truth, returns. Safe to call again."""


class WakeQueue:
    """Sends wake-ups in the background. Never blocks and never fails the caller.

    Keys that wait to be sent count once. While Redis is away at most 10,000 wait; further keys are dropped and
    counted, and so are keys that could not be sent. In Redis the newest 10,000 wait for a worker.

    Args:
        redis: A client; `WakeQueue.open` makes it.
        queue: The queue's name.
    """

    def __init__(self, redis: Redis, queue: str) -> None:
        self._redis = redis
        self._queue = queue
        self._pending: dict[str, tuple[str, str]] = {}
        self._something = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: Secret | None, queue: str) -> AsyncIterator["WakeQueue"]:
        """Open the queue, and close it behind the block. Redis need not be there.

        Args:
            url: `redis://...`, or None for a queue that drops everything.
            queue: Its name, the same for sender and worker.
        """
        redis = redis_client(url or Secret("redis://127.0.0.1:0"))
        wake_queue = cls(redis, queue)
        sender = asyncio.create_task(wake_queue.run() if url else wake_queue.discard(), name=f"{queue} wake-ups")
        try:
            yield wake_queue
        finally:
            sender.cancel()
            with suppress(asyncio.CancelledError):
                await sender
            await redis.aclose(close_connection_pool=True)

    def wake(self, key: str) -> None:
        """Ask for a worker that checks a key. Safe to call again.

        Args:
            key: An id. It is all that Redis learns.
        """
        if len(self._pending) >= _MAX_PENDING and key not in self._pending:
            WAKE_UPS.labels(self._queue, "dropped").inc()
            return
        self._pending[key] = (correlation.correlation_id(), tracing.traceparent())
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

    async def _send(self, key: str, correlation_id: str, parent: str) -> bool:
        wake_up = json.dumps([key, correlation_id, parent], separators=(",", ":"))
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                waiting: int = await _answer(self._redis.rpush(list_name(self._queue), wake_up))
                if waiting > _MAX_PENDING:  # no worker takes any; the sweep finds the work of the dropped ones
                    await _answer(self._redis.ltrim(list_name(self._queue), -_MAX_PENDING, -1))
        except (RedisError, OSError) as exc:  # a TimeoutError is an OSError
            WAKE_UPS.labels(self._queue, "failed").inc()
            logger.warning("wake-up not sent", queue=self._queue, error=type(exc).__name__)
            return False
        WAKE_UPS.labels(self._queue, "sent").inc()
        return True


async def work(url: Secret, queue: str, wake: Wake, *, at_once: int = 10, job_seconds: float = 300.0) -> None:
    """Take wake-ups until cancelled; go on whenever Redis comes back.

    Args:
        url: `redis://...`.
        queue: The queue's name.
        wake: The work on a key. Its exceptions are logged and counted; the wake-up is over in any case. It gets an
            empty key whenever Redis is lost or cannot be reached: wake-ups for any key may be lost.
        at_once: Wake-ups that are processed at the same time.
        job_seconds: The time limit of one.
    """
    guard = Guard(f"{queue} worker", _PAUSE_SECONDS / 2, longest_seconds=_PAUSE_SECONDS)
    await guard.until_cancelled(lambda: _work_once(url, queue, _Woken(queue, wake, at_once, job_seconds)))


async def _work_once(url: Secret, queue: str, woken: "_Woken") -> None:
    """Take wake-ups until Redis is lost."""
    redis = redis_client(url)
    taking = asyncio.create_task(_take(redis, queue, woken), name=f"{queue} wake-ups taken")
    try:
        await asyncio.shield(taking)
    except Exception as exc:
        WORKER_RESTARTS.labels(queue).inc()
        woken.start_anything()
        if isinstance(exc, RedisError):
            raise ConnectionError(errno.ENOTCONN, f"Redis is lost: {type(exc).__name__}") from exc
        raise
    finally:
        await _end(taking)
        await woken.end()
        await redis.aclose(close_connection_pool=True)


def list_name(queue: str) -> str:
    """Return the name of a queue's list in Redis."""
    return f"mailmesh:wake-ups:{queue}"


def redis_client(url: Secret) -> Redis:
    """Make a bounded client that connects when it is used."""
    pool = BlockingConnectionPool.from_url(
        url.reveal(), max_connections=4, timeout=_SEND_SECONDS,
        socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_SEND_SECONDS,
    )  # fmt: skip
    return Redis(connection_pool=pool)


def _answer(asked: Any) -> Awaitable[Any]:
    """Return a command of the asynchronous client as what it is: its types also allow for the other client."""
    return cast("Awaitable[Any]", asked)


async def _take(redis: Redis, queue: str, woken: "_Woken") -> None:
    while True:
        await woken.room()
        taken = await _answer(redis.blpop([list_name(queue)], timeout=_WAIT_SECONDS))
        heed_cancellation()  # the client may have lost it, see `_end`
        if taken is not None:
            woken.start(taken[1])


class _Woken:
    """The wake-ups that are being processed."""

    def __init__(self, queue: str, wake: Wake, at_once: int, job_seconds: float) -> None:
        self._queue = queue
        self._wake = wake
        self._at_once = at_once
        self._job_seconds = job_seconds
        self._running: set[asyncio.Task[None]] = set()

    async def room(self) -> None:
        """Wait until another wake-up may start."""
        if len(self._running) >= self._at_once:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    def start(self, wake_up: bytes) -> None:
        """Process a wake-up in a task of its own. One that is not ours is counted and dropped."""
        try:
            key, correlation_id, parent = map(str, json.loads(wake_up))
        except (ValueError, TypeError):
            WAKE_UPS.labels(self._queue, "work_failed").inc()
            logger.warning("wake-up not readable", queue=self._queue)
            return
        self._start(key, correlation_id, parent)

    def start_anything(self) -> None:
        """Process an empty key: wake-ups may be lost."""
        self._start("", "", "")

    def _start(self, key: str, correlation_id: str, parent: str) -> None:
        task = asyncio.create_task(self._one(key, correlation_id, parent), name=f"{self._queue} woken")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def end(self) -> None:
        """Give the running ones some time and cancel the rest."""
        running = [*self._running]
        if running:
            _, late = await asyncio.wait(running, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _one(self, key: str, correlation_id: str, parent: str) -> None:
        with correlation.correlated(correlation_id), tracing.span("wake", parent=parent):
            try:
                async with asyncio.timeout(self._job_seconds):
                    await self._wake(key)
            except (MeshError, OSError) as exc:
                WAKE_UPS.labels(self._queue, "work_failed").inc()
                reason = getattr(exc, "reason", "") or type(exc).__name__
                logger.warning("woken work failed", queue=self._queue, error=reason)
            except Exception:
                UNEXPECTED.labels(self._queue).inc()
                logger.exception("woken work failed", queue=self._queue)
            else:
                WAKE_UPS.labels(self._queue, "worked").inc()


async def _end(taking: "asyncio.Task[None]") -> None:
    """Cancel a task until it has ended.

    Once is not enough: the Redis client writes under `asyncio.wait_for`, and on Python 3.11 that loses a cancellation
    which comes in the moment when the write is done. The task would then go on for ever.
    """
    while not taking.done():
        taking.cancel()
        await asyncio.wait([taking], timeout=_CANCEL_SECONDS)
