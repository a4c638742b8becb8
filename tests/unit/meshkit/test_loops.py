"""Loops come back, whatever their rounds do."""

import asyncio
from contextlib import aclosing

import pytest

from services.meshkit import correlation
from services.meshkit.errors import StoreUnavailable
from services.meshkit.loops import IDLE_ROUNDS, Lanes, PeriodicLoop, for_each
from services.meshkit.metrics import LOOP_RUNS, UNEXPECTED
from services.meshkit.process import background


async def rounds(loop: PeriodicLoop, until: asyncio.Event) -> None:
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(30):
        await until.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_backlog_is_worked_off_without_waiting():
    left, done = [3, 2, 1, 0], asyncio.Event()

    async def work() -> int:
        count = left.pop(0)
        if not left:
            done.set()
        return count

    await rounds(PeriodicLoop("backlog", 3600, work), done)

    assert [] == left


async def test_a_failed_round_is_followed_by_another():
    outcomes, done = [StoreUnavailable(), ZeroDivisionError(), OSError()], asyncio.Event()
    failed = LOOP_RUNS.labels("failing", "failed")
    before = failed._value.get()

    async def work() -> int:
        if outcomes:
            raise outcomes.pop(0)
        done.set()
        return 0

    await rounds(PeriodicLoop("failing", 0.001, work), done)

    assert 3 == failed._value.get() - before


async def test_the_wait_after_failures_has_the_bound_that_is_given():
    failures, done = 0, asyncio.Event()

    async def work() -> int:
        nonlocal failures
        failures += 1
        if failures == 15:  # without the bound the waits would add up to a minute
            done.set()
        raise StoreUnavailable

    async with asyncio.timeout(5):
        await rounds(PeriodicLoop("bounded", 0.002, work, longest_seconds=0.004), done)

    assert 15 <= failures


async def test_a_round_that_hangs_is_ended():
    tries, done = 0, asyncio.Event()

    async def work() -> int:
        nonlocal tries
        tries += 1
        if tries == 2:
            done.set()
        await asyncio.Event().wait()
        return 0

    await rounds(PeriodicLoop("hanging", 0.001, work, round_seconds=0.01), done)

    assert tries >= 2


async def test_waits_grow_with_failures_up_to_a_minute(monkeypatch):
    waits, done = [], asyncio.Event()

    def note(seconds: float):
        waits.append(seconds)
        if len(waits) == 12:
            done.set()
        return real(0.0)

    async def work() -> int:
        raise StoreUnavailable

    real = asyncio.timeout
    loop = PeriodicLoop("growing", 1.0, work, jitter=0)
    monkeypatch.setattr(
        "services.meshkit.loops.asyncio.timeout", lambda seconds: note(seconds) if seconds != 300 else real(seconds)
    )
    task = asyncio.create_task(loop.run())
    while not done.is_set():
        await asyncio.sleep(0)
    task.cancel()

    assert [2, 4, 8, 16, 32, 60, 60] == waits[:7]


async def test_an_idle_loop_waits_longer_until_there_is_something_to_do(monkeypatch):
    waits, done, rounds_begun = [], asyncio.Event(), 0

    def note(seconds: float):
        waits.append(seconds)
        if len(waits) == IDLE_ROUNDS + 2:
            done.set()
        return real(0.0)

    async def work() -> int:
        nonlocal rounds_begun
        rounds_begun += 1
        return int(rounds_begun == IDLE_ROUNDS + 2)

    real = asyncio.timeout
    loop = PeriodicLoop("idle", 1.0, work, jitter=0, idle_factor=5.0)
    monkeypatch.setattr(
        "services.meshkit.loops.asyncio.timeout", lambda seconds: note(seconds) if seconds != 300 else real(seconds)
    )
    task = asyncio.create_task(loop.run())
    while not done.is_set():
        await asyncio.sleep(0)
    task.cancel()

    assert [1.0] * (IDLE_ROUNDS - 1) + [5.0, 5.0, 1.0] == waits


async def test_a_loop_that_is_roused_while_it_becomes_idle_goes_on_with_short_waits():
    count, done = 0, asyncio.Event()

    async def work() -> int:
        nonlocal count
        count += 1
        if count == IDLE_ROUNDS:
            loop.rouse()
        if count == 2 * IDLE_ROUNDS:
            done.set()
        return 0

    loop = PeriodicLoop("roused", 0.001, work, idle_factor=3_600_000)
    await rounds(loop, done)

    assert 2 * IDLE_ROUNDS == count


async def test_a_wake_starts_the_next_round_at_once():
    count, done = 0, asyncio.Event()

    async def work() -> int:
        nonlocal count
        count += 1
        if count == 2:
            done.set()
        else:
            loop.wake()
        return 0

    loop = PeriodicLoop("woken", 3600, work)
    await rounds(loop, done)

    assert 2 == count


async def test_every_round_has_an_id_of_its_own():
    ids, done = [], asyncio.Event()

    async def work() -> int:
        ids.append(correlation.correlation_id())
        if len(ids) == 2:
            done.set()
        return len(ids) % 2

    await rounds(PeriodicLoop("ids", 3600, work), done)

    assert 2 == len(set(ids))


async def test_items_are_worked_on_a_bounded_number_at_a_time():
    running, most, done = 0, 0, []

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(item)

    await for_each(range(20), work, at_once=3)

    assert (3, list(range(20))) == (most, sorted(done))


async def test_the_first_failure_ends_the_rest():
    cancelled = []

    async def work(item: int) -> None:
        if item == 0:
            raise ZeroDivisionError
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    with pytest.raises(ZeroDivisionError):
        await for_each([1, 2, 0], work, at_once=3)

    assert [1, 2] == sorted(cancelled)


async def test_loops_beside_a_block_end_with_it():
    ended = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with background(loop(), loop()):
        await asyncio.sleep(0)

    assert [True, True] == ended


async def test_a_loop_that_breaks_ends_the_block_beside_it():
    async def loop() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with background(loop()):
            await asyncio.Event().wait()


async def test_a_block_that_breaks_is_told_by_its_own_exception():
    with pytest.raises(StoreUnavailable):
        async with background(asyncio.Event().wait()):
            raise StoreUnavailable


async def test_a_loop_ends_although_cleaning_up_fails_when_it_is_cancelled() -> None:
    begun = asyncio.Event()

    async def work() -> int:
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            raise StoreUnavailable
        return 0

    task = asyncio.create_task(PeriodicLoop("test", 0.01, work).run())
    await begun.wait()
    task.cancel()

    await asyncio.wait([task], timeout=30)
    assert task.cancelled()


async def test_lanes_that_hang_leave_the_others_free_and_end_with_the_last_word() -> None:
    never, done, before = asyncio.Event(), [], UNEXPECTED.labels("lanes")._value.get()

    async def work(item: int) -> None:
        if item < 2:
            await never.wait()
        if item == 2:
            raise ZeroDivisionError
        done.append(item)

    async with asyncio.timeout(30):
        lanes = Lanes("lanes", 3, wait_seconds=0.01)
        async with aclosing(lanes):
            assert 3 == await lanes.free()
            await lanes.start([0, 1], work)
            for item in (2, 3, 4):
                assert 1 == await lanes.free()
                await lanes.start([item], work)
            await lanes.start([0], work)
            waiting = asyncio.create_task(lanes.free())
            await asyncio.sleep(0)
            assert not waiting.done()
            never.set()
            assert 1 <= await waiting <= 3

    assert [3, 4] == done[:2]
    assert 1 == UNEXPECTED.labels("lanes")._value.get() - before


async def test_what_runs_in_lanes_is_cancelled_at_their_end() -> None:
    ended = []

    async def work(item: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    async with asyncio.timeout(30), aclosing(Lanes("lanes", 3, wait_seconds=0.01)) as lanes:
        await lanes.start([0, 1], work)

    assert [0, 1] == sorted(ended)
