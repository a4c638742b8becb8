"""Wake-ups through a real Redis: lost, late and doubled at worst, never in the way."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress

import pytest
import redis.asyncio
from redis.asyncio.connection import AbstractConnection

from services.meshkit import correlation
from services.meshkit.errors import Conflict
from services.meshkit.metrics import UNEXPECTED, WAKE_UPS, WORKER_RESTARTS
from services.meshkit.queue import WakeQueue, list_name, redis_client, work
from services.meshkit.secret import Secret
from tests.programs.redis import RedisProgram

REQUEST_ID = "019a9f0e-7c1e-7000-8000-000000000007"


class Woken:
    """Remembers who was woken."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.correlation_ids: list[str] = []
        self._changed = asyncio.Condition()

    async def wake(self, key: str) -> None:
        async with self._changed:
            self.keys.append(key)
            self.correlation_ids.append(correlation.correlation_id())
            self._changed.notify_all()

    async def count(self, number: int) -> None:
        async with asyncio.timeout(40), self._changed:
            await self._changed.wait_for(lambda: len(self.keys) >= number)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wake-up that cannot be sent in half a second is lost, and a busy machine may take longer than that."""
    monkeypatch.setattr("services.meshkit.queue._SEND_SECONDS", 30.0)


@pytest.fixture
def woken() -> Woken:
    return Woken()


@asynccontextmanager
async def worker(url: str, wake, **options):
    task = asyncio.create_task(work(Secret(url), "test", wake, **options))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def wake_until_woken(queue: WakeQueue, woken: Woken, key: str) -> None:
    """Wakes again and again: a single wake-up may be lost, above all when Redis was away just now."""
    async with asyncio.timeout(40):
        while key not in woken.keys:
            queue.wake(key)
            await asyncio.sleep(0.5)


def cancel_at_the_next_write(monkeypatch: pytest.MonkeyPatch, task: "asyncio.Task[None]") -> asyncio.Event:
    """Cancels a task in the moment when its Redis client has written: Python 3.11 loses that cancellation there."""
    is_cancelled = asyncio.Event()
    write = AbstractConnection._send_packed_command

    async def wrote(self, command) -> None:
        await write(self, command)
        if not is_cancelled.is_set():
            is_cancelled.set()
            task.cancel()

    monkeypatch.setattr(AbstractConnection, "_send_packed_command", wrote)
    return is_cancelled


async def eventually(condition) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.01)


async def test_whoever_waits_is_woken_with_the_key_and_the_correlation_id(redis_url, woken):
    async with WakeQueue.open(Secret(redis_url), "test") as queue, worker(redis_url, woken.wake):
        with correlation.correlated(REQUEST_ID):
            queue.wake("a")
        await woken.count(1)

    assert (["a"], [REQUEST_ID]) == (woken.keys, woken.correlation_ids)


async def test_a_key_is_woken_again_while_its_work_runs(redis_url, woken):
    release = asyncio.Event()

    async def wake(key: str) -> None:
        await woken.wake(key)
        await release.wait()

    async with WakeQueue.open(Secret(redis_url), "test") as queue, worker(redis_url, wake):
        queue.wake("a")
        await woken.count(1)
        queue.wake("a")
        await woken.count(2)
        release.set()

    assert ["a", "a"] == woken.keys


async def test_a_key_that_waits_to_be_sent_counts_once(redis_url, woken):
    async with WakeQueue.open(Secret(redis_url), "test") as queue, worker(redis_url, woken.wake):
        for _ in range(100):
            queue.wake("a")
        queue.wake("b")
        await woken.count(2)

    assert ["a", "b"] == sorted(woken.keys)


async def test_redis_holds_ids_as_json_and_nothing_when_the_work_is_done(redis_url, woken):
    client = redis.asyncio.Redis.from_url(redis_url)
    async with WakeQueue.open(Secret(redis_url), "test") as queue:
        queue.wake("a")
        await queue.ping()
        async with asyncio.timeout(30):
            while not (waiting := await client.lrange(list_name("test"), 0, -1)):
                await asyncio.sleep(0.01)
        async with worker(redis_url, woken.wake):
            await woken.count(1)
            async with asyncio.timeout(30):
                while await client.keys("*"):
                    await asyncio.sleep(0.01)
    await client.aclose()

    assert [["a", "", ""]] == [json.loads(wake_up) for wake_up in waiting]


async def test_without_a_worker_the_newest_wake_ups_stay(redis_url, monkeypatch):
    monkeypatch.setattr("services.meshkit.queue._MAX_PENDING", 3)
    client = redis.asyncio.Redis.from_url(redis_url)
    async with WakeQueue.open(Secret(redis_url), "test") as queue:
        for number in range(5):
            queue.wake(str(number))
            await eventually(lambda: not queue._pending)
        async with asyncio.timeout(30):
            while (last := [json.loads(one)[0] for one in await client.lrange(list_name("test"), 0, -1)])[-1:] != ["4"]:
                await asyncio.sleep(0.01)
    await client.aclose()

    assert ["2", "3", "4"] == last


async def test_each_wake_up_reaches_one_of_two_workers(redis_url, woken):
    keys = [str(number) for number in range(50)]
    async with (
        WakeQueue.open(Secret(redis_url), "test") as queue,
        worker(redis_url, woken.wake),
        worker(redis_url, woken.wake),
    ):
        for key in keys:
            queue.wake(key)
        await woken.count(50)

    assert keys == sorted(woken.keys, key=int)


async def test_failed_work_is_counted_and_the_worker_goes_on(redis_url, woken):
    async def wake(key: str) -> None:
        if key == "known":
            raise Conflict
        if key == "unknown":
            raise ZeroDivisionError
        await woken.wake(key)

    failed, unexpected = WAKE_UPS.labels("test", "work_failed"), UNEXPECTED.labels("test")
    before = failed._value.get(), unexpected._value.get()
    async with WakeQueue.open(Secret(redis_url), "test") as queue, worker(redis_url, wake, at_once=1):
        for key in ("known", "unknown", "good"):
            queue.wake(key)
        await woken.count(1)
        # Wake-ups of the same millisecond are processed in any order.
        await eventually(lambda: unexpected._value.get() > before[1] and failed._value.get() > before[0])

    assert (1, 1) == (failed._value.get() - before[0], unexpected._value.get() - before[1])


async def test_a_worker_survives_a_restart_of_redis(redis_program: RedisProgram, woken):
    url = redis_program.url()
    restarts = WORKER_RESTARTS.labels("test")
    before = restarts._value.get()
    async with WakeQueue.open(Secret(url), "test") as queue, worker(url, woken.wake):
        queue.wake("before")
        await woken.count(1)
        redis_program.running.kill()
        await eventually(lambda: restarts._value.get() > before)
        redis_program.running.restart()
        await wake_until_woken(queue, woken, "after")

    assert ["before", "", "after"] == list(dict.fromkeys(woken.keys)), "what Redis lost is looked for at once"


async def test_without_redis_waking_neither_fails_nor_blocks(woken):
    failed = WAKE_UPS.labels("test", "failed")
    before = failed._value.get()
    async with WakeQueue.open(Secret("redis://127.0.0.1:1/0"), "test") as queue:
        for number in range(20_000):
            queue.wake(str(number))
        await eventually(lambda: failed._value.get() > before)
        with pytest.raises(OSError, match="ConnectionError"):
            await queue.ping()

        assert len(queue._pending) <= 10_000


async def test_a_mesh_without_redis_drops_wake_ups():
    async with WakeQueue.open(None, "test") as queue:
        queue.wake("a")
        await eventually(lambda: not queue._pending)


async def test_running_work_ends_before_the_worker_does(redis_url, woken):
    ended = []

    async def wake(key: str) -> None:
        await woken.wake(key)
        await asyncio.sleep(0.2)
        ended.append(key)

    async with WakeQueue.open(Secret(redis_url), "test") as queue, worker(redis_url, wake):
        queue.wake("a")
        await woken.count(1)

    assert ["a"] == ended


async def test_work_that_does_not_end_is_cancelled(redis_url, woken, monkeypatch):
    monkeypatch.setattr("services.meshkit.queue._GRACE_SECONDS", 0.05)
    cancelled = []

    async def wake(key: str) -> None:
        await woken.wake(key)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(key)
            raise

    async with WakeQueue.open(Secret(redis_url), "test") as queue, worker(redis_url, wake):
        queue.wake("a")
        await woken.count(1)

    assert ["a"] == cancelled


async def test_a_wake_up_that_is_not_ours_does_not_stop_the_worker(redis_url, woken):
    client = redis.asyncio.Redis.from_url(redis_url)
    for foreign in (b"\x80\x04not json", b"7", b'["a"]'):
        await client.rpush(list_name("test"), foreign)
    async with WakeQueue.open(Secret(redis_url), "test") as queue, worker(redis_url, woken.wake):
        await wake_until_woken(queue, woken, "good")
    await client.aclose()

    assert {"good"} == set(woken.keys)


async def test_a_worker_ends_although_the_redis_client_loses_its_cancellation(redis_url, woken, monkeypatch):
    task = asyncio.create_task(work(Secret(redis_url), "test", woken.wake))
    await asyncio.sleep(0.1)
    is_cancelled = cancel_at_the_next_write(monkeypatch, task)

    done, _ = await asyncio.wait([task], timeout=20)
    monkeypatch.undo()
    task.cancel()

    assert is_cancelled.is_set()
    assert {task} == done


async def test_a_sender_ends_although_the_redis_client_loses_its_cancellation(redis_url, monkeypatch):
    queue = WakeQueue(redis_client(Secret(redis_url)), "test")
    task = asyncio.create_task(queue.run())
    is_cancelled = cancel_at_the_next_write(monkeypatch, task)
    queue.wake("a")

    done, _ = await asyncio.wait([task], timeout=20)
    monkeypatch.undo()
    task.cancel()
    await queue._redis.aclose(close_connection_pool=True)

    assert is_cancelled.is_set()
    assert {task} == done
