"""Pushes to notification URLs: concurrent, in batches, retried until accepted or too old.

One :class:`Lane` per URL keeps a bounded queue; its runners start when there is work and end when there is none.
"""

import asyncio
import logging
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

logger = logging.getLogger(__name__)

_POSTS_AT_ONCE = 96


@dataclass(slots=True)
class Parcel:
    """Items that travel in one POST, and how often that was tried."""

    items: list[Any]
    attempts: int = 0
    born: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one kind of push, read for each POST so that settings take effect at once.

    Attributes:
        compose: Turns items into body and headers.
        accepted: Statuses that acknowledge the push.
        batch_max: Items per POST.
        wait_seconds: Time for which the first item waits so that others can join its POST.
        timeout_seconds: Timeout of a POST, by the number of attempts before it.
        give_up_seconds: Age at which a parcel is dropped.
    """

    compose: Callable[[Sequence[Any]], tuple[bytes, dict[str, str]]]
    accepted: Collection[int]
    batch_max: int
    wait_seconds: float
    timeout_seconds: Callable[[int], float]
    concurrency: int
    retry_first_seconds: float
    retry_max_seconds: float
    give_up_seconds: float
    pending_max: int


class Pushes:
    """All lanes, the connection pool they share, and a log of the pushes."""

    def __init__(self, tls: ssl.SSLContext | None, log_limit: int = 20_000) -> None:
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._lanes: dict[tuple[str, str], Lane] = {}
        self.gate = asyncio.Semaphore(_POSTS_AT_ONCE)
        self.log: deque[dict[str, Any]] = deque(maxlen=log_limit)
        self.counts: Counter[str] = Counter()

    def session(self) -> aiohttp.ClientSession:
        """Return the connection pool, made on first use inside the loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=256, limit_per_host=64, ssl=self._tls or True, keepalive_timeout=10)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def put(self, kind: str, url: str, item: Any, rules: Callable[[], Rules]) -> None:
        """Queue one item for a URL; past the lane's bound it is dropped and counted."""
        lane = self._lanes.get((kind, url))
        if lane is None:
            lane = self._lanes[kind, url] = Lane(kind, url, self, rules)
        lane.put(item)

    def forget_lane(self, lane: "Lane") -> None:
        """Let go of a lane that has nothing left to do: there may be one per subscription."""
        if self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]

    def put_later(self, seconds: float, kind: str, url: str, item: Any, rules: Callable[[], Rules]) -> None:
        """Queue one item after a while."""
        self.counts["delayed"] += 1

        def arrive() -> None:
            self.counts["delayed"] -= 1
            self.put(kind, url, item, rules)

        asyncio.get_running_loop().call_later(seconds, arrive)

    def pending(self) -> int:
        """Return how many items are queued, travelling, delayed or waiting to be repeated."""
        return self.counts["delayed"] + sum(lane.pending for lane in self._lanes.values())

    def forget(self) -> None:
        """Drop the waiting items and the log."""
        for lane in self._lanes.values():
            lane.clear()
        self.log.clear()
        for name in [name for name in self.counts if name != "delayed"]:
            del self.counts[name]

    async def close(self) -> None:
        """Stop all lanes and close the connections."""
        for lane in self._lanes.values():
            await lane.close()
        if self._session is not None:
            await self._session.close()


class Lane:
    """The items on their way to one URL."""

    def __init__(self, kind: str, url: str, pushes: Pushes, rules: Callable[[], Rules]) -> None:
        self.key = (kind, url)
        self._kind = kind
        self._url = url
        self._target = URL(url, encoded=True)
        self._pushes = pushes
        self._rules = rules
        self._queue: deque[Any] = deque()
        self._again: deque[Parcel] = deque()
        self._runners: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._epoch = 0
        self.pending = 0

    def put(self, item: Any) -> None:
        """Queue an item, unless the lane is full."""
        if self.pending >= self._rules().pending_max:
            self._pushes.counts[f"{self._kind}.overflow"] += 1
            return
        self.pending += 1
        self._queue.append(item)
        self._start()

    def clear(self) -> None:
        """Drop the waiting items; POSTs under way end by themselves."""
        self._epoch += 1
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._queue.clear()
        self._again.clear()
        self.pending = 0

    async def close(self) -> None:
        """Drop the waiting items and cancel the POSTs under way."""
        self.clear()
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)

    def _start(self) -> None:
        if len(self._runners) >= self._rules().concurrency:
            return
        runner = asyncio.get_running_loop().create_task(self._run())
        self._runners.add(runner)
        runner.add_done_callback(self._ended)

    def _ended(self, runner: asyncio.Task[None]) -> None:
        self._runners.discard(runner)
        if not runner.cancelled() and (failure := runner.exception()):
            logger.error("a runner of %s failed", self._url, exc_info=failure)
        if self._queue or self._again:  # it came after the runner's last check, when that still counted as running
            self._start()
        elif not self._runners and not self.pending:
            self._pushes.forget_lane(self)

    async def _run(self) -> None:
        while self._queue or self._again:
            rules = self._rules()
            if rules.wait_seconds and not self._again and len(self._queue) < rules.batch_max:
                await asyncio.sleep(rules.wait_seconds)
            parcel = self._next(rules)
            if parcel is not None:
                await self._deliver(parcel, rules)

    def _next(self, rules: Rules) -> Parcel | None:
        if self._again:
            return self._again.popleft()
        count = min(rules.batch_max, len(self._queue))
        return Parcel([self._queue.popleft() for _ in range(count)]) if count else None

    async def _deliver(self, parcel: Parcel, rules: Rules) -> None:
        epoch = self._epoch
        async with self._pushes.gate:
            started = time.perf_counter()
            status = await self._post(parcel, rules)
        self._record(parcel, status, time.perf_counter() - started)
        if epoch != self._epoch:
            return
        if status in rules.accepted:
            self.pending -= len(parcel.items)
        else:
            self._repeat(parcel, rules)

    async def _post(self, parcel: Parcel, rules: Rules) -> int:
        body, headers = rules.compose(parcel.items)
        timeout = aiohttp.ClientTimeout(total=rules.timeout_seconds(parcel.attempts))
        try:
            session = self._pushes.session()
            async with session.post(
                self._target, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            logger.debug("push to %s failed: %r", self._url, failure)
            return 0

    def _repeat(self, parcel: Parcel, rules: Rules) -> None:
        parcel.attempts += 1
        if time.monotonic() - parcel.born >= rules.give_up_seconds:
            self.pending -= len(parcel.items)
            self._pushes.counts[f"{self._kind}.given_up"] += len(parcel.items)
            return
        wait = min(rules.retry_first_seconds * 2 ** min(parcel.attempts - 1, 20), rules.retry_max_seconds)

        def again() -> None:
            self._timers.discard(timer)
            self._again.append(parcel)
            self._start()

        timer = asyncio.get_running_loop().call_later(wait, again)
        self._timers.add(timer)

    def _record(self, parcel: Parcel, status: int, seconds: float) -> None:
        counts = self._pushes.counts
        counts[f"{self._kind}.posts"] += 1
        counts[f"{self._kind}.status.{status}"] += 1
        counts[f"{self._kind}.items"] += len(parcel.items)
        self._pushes.log.append(
            {
                "kind": self._kind,
                "url": self._url,
                "status": status,
                "attempt": parcel.attempts + 1,
                "milliseconds": round(seconds * 1000, 3),
                "items": [describe(item) for item in parcel.items],
            }
        )


def describe(item: Any) -> Any:
    """Return an item for the log, without its clientState."""
    if not isinstance(item, dict):
        return str(item)
    return {key: value for key, value in item.items() if key != "clientState"}
