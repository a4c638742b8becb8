"""Groups: sized by the load, bounded, and nobody is left waiting."""

import asyncio
from collections.abc import Sequence

import pytest

from services.meshkit.errors import Overloaded, StoreUnavailable, Unexpected
from services.token_vault.grouped import Grouped


class Recorder:
    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: BaseException | None = None

    async def work(self, items: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(items))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [item * 10 for item in items]


async def test_a_lone_caller_does_not_wait_for_company() -> None:
    recorder = Recorder()

    assert 10 == await Grouped("t", recorder.work, 100, 100).do(1)
    assert [[1]] == recorder.groups


async def test_what_comes_in_meanwhile_is_one_group() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    grouped = Grouped("t", recorder.work, 3, 100)
    first = asyncio.create_task(grouped.do(0))
    while not recorder.groups:
        await asyncio.sleep(0)
    others = [asyncio.create_task(grouped.do(number)) for number in range(1, 6)]
    await asyncio.sleep(0)
    recorder.gate.set()

    results = await asyncio.gather(first, *others)

    assert [0, 10, 20, 30, 40, 50] == results
    assert [[0], [1, 2, 3], [4, 5]] == recorder.groups


async def test_past_its_bound_callers_are_turned_away_at_once() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    grouped = Grouped("audit", recorder.work, 1, 2)
    waiting = [asyncio.create_task(grouped.do(number)) for number in range(2)]
    await asyncio.sleep(0)
    more = [asyncio.create_task(grouped.do(number)) for number in range(2, 4)]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded) as full:
        await grouped.do(9)
    recorder.gate.set()
    done = await asyncio.gather(*waiting, *more, return_exceptions=True)

    assert {"bound": "audit"} == full.value.metadata
    assert [0, 10] == done[:2]


async def test_a_failure_reaches_the_whole_group_and_nobody_else() -> None:
    recorder = Recorder()
    recorder.error = StoreUnavailable()
    grouped = Grouped("t", recorder.work, 10, 10)

    failed = await asyncio.gather(grouped.do(1), grouped.do(2), return_exceptions=True)
    recorder.error = None

    assert [StoreUnavailable] * 2 == [type(error) for error in failed]
    assert 30 == await grouped.do(3)


async def test_a_failure_that_nobody_foresaw_leaves_nobody_waiting() -> None:
    recorder = Recorder()
    recorder.error = RuntimeError("boom")
    grouped = Grouped("t", recorder.work, 10, 10)

    asking = asyncio.create_task(grouped.do(1))
    while not recorder.groups:
        await asyncio.sleep(0)
    (worker,) = grouped._workers
    with pytest.raises(RuntimeError):
        await worker
    with pytest.raises(Unexpected):
        await asking
    recorder.error = None

    assert 20 == await grouped.do(2)


async def test_who_goes_away_is_not_worked_for() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    grouped = Grouped("t", recorder.work, 10, 10)
    first = asyncio.create_task(grouped.do(1))
    while not recorder.groups:
        await asyncio.sleep(0)
    gone, stays = asyncio.create_task(grouped.do(2)), asyncio.create_task(grouped.do(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()

    assert [10, 30] == await asyncio.gather(first, stays)
    assert [[1], [3]] == recorder.groups


async def test_two_lanes_work_on_two_groups_at_the_same_time() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    grouped = Grouped("t", recorder.work, 10, 10, lanes=2)
    asking = []
    for number in range(2):
        asking.append(asyncio.create_task(grouped.do(number)))
        while len(recorder.groups) < number + 1:
            await asyncio.sleep(0)
    asking += [asyncio.create_task(grouped.do(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    recorder.gate.set()

    assert [0, 10, 20, 30] == await asyncio.gather(*asking)
    assert [[0], [1], [2, 3]] == recorder.groups
