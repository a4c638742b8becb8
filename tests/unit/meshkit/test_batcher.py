"""The batcher: groups follow the load, bounds hold, and every caller gets an answer."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from services.meshkit.batcher import Batcher, BatchLimits
from services.meshkit.deadlines import remaining, set_deadline
from services.meshkit.errors import Overloaded, ShuttingDown, StoreUnavailable, Unexpected
from services.meshkit.metrics import UNEXPECTED


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
            error, self.error = self.error, None
            raise error
        return [item * 10 for item in items]


async def started(recorder: Recorder) -> None:
    while not recorder.groups:
        await asyncio.sleep(0)


async def test_a_lone_caller_is_served_at_once() -> None:
    recorder = Recorder()

    assert 10 == await Batcher("t", recorder.work, BatchLimits(100, 100)).do(1)
    assert [[1]] == recorder.groups


async def test_items_that_arrive_during_a_group_share_the_next_one() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher("t", recorder.work, BatchLimits(100, 3))
    first = asyncio.create_task(batcher.do(0))
    await started(recorder)
    others = [asyncio.create_task(batcher.do(number)) for number in range(1, 6)]
    await asyncio.sleep(0)
    recorder.gate.set()

    results = await asyncio.gather(first, *others)

    assert [0, 10, 20, 30, 40, 50] == results
    assert [[0], [1, 2, 3], [4, 5]] == recorder.groups


async def test_beyond_the_bound_a_caller_is_refused_at_once() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher("audit", recorder.work, BatchLimits(2, 1))
    waiting = [asyncio.create_task(batcher.do(number)) for number in range(2)]
    await asyncio.sleep(0)
    more = [asyncio.create_task(batcher.do(number)) for number in range(2, 4)]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded) as full:
        await batcher.do(9)
    recorder.gate.set()
    done = await asyncio.gather(*waiting, *more, return_exceptions=True)

    assert {"bound": "audit"} == full.value.metadata
    assert [0, 10] == done[:2]


async def test_a_failure_reaches_its_whole_group_and_no_other() -> None:
    recorder = Recorder()
    recorder.error = StoreUnavailable()
    batcher = Batcher("t", recorder.work, BatchLimits(10, 10))

    failed = await asyncio.gather(batcher.do(1), batcher.do(2), return_exceptions=True)

    assert [StoreUnavailable] * 2 == [type(error) for error in failed]
    assert 30 == await batcher.do(3)


async def test_an_unexpected_failure_is_logged_and_the_items_behind_it_are_still_processed() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    recorder.error = RuntimeError("boom")
    batcher = Batcher("t", recorder.work, BatchLimits(10, 1))
    before = UNEXPECTED.labels("t")._value.get()
    failing = asyncio.create_task(batcher.do(1))
    await started(recorder)
    behind = asyncio.create_task(batcher.do(2))
    await asyncio.sleep(0)
    with capture_logs() as logs:
        recorder.gate.set()
        with pytest.raises(Unexpected) as raised:
            await failing
        assert 20 == await behind

    assert [raised.value.metadata["error_id"]] == [log["error_id"] for log in logs]
    assert 1 == UNEXPECTED.labels("t")._value.get() - before


async def test_an_item_that_arrives_in_the_step_after_a_result_is_processed() -> None:
    async def work(items: Sequence[int]) -> Sequence[int]:
        return items

    batcher = Batcher("t", work, BatchLimits(10, 10))

    assert [0, 1, 2] == [await batcher.do(number) for number in range(3)]


async def test_work_that_returns_too_few_results_fails_the_callers_that_have_none() -> None:
    async def work(items: Sequence[int]) -> Sequence[int]:
        return items[:1]

    batcher = Batcher("t", work, BatchLimits(10, 10))
    outcomes = await asyncio.gather(batcher.do(1), batcher.do(2), return_exceptions=True)

    assert (1, Unexpected) == (outcomes[0], type(outcomes[1]))


async def test_a_result_that_is_late_is_a_failure_and_items_without_a_caller_are_not_processed() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher("t", recorder.work, BatchLimits(10, 10, wait_seconds=0.2))
    first = asyncio.create_task(batcher.do(1))
    await started(recorder)
    outcomes = await asyncio.gather(first, batcher.do(2), return_exceptions=True)
    recorder.gate.set()

    assert [StoreUnavailable] * 2 == [type(outcome) for outcome in outcomes]
    assert 30 == await batcher.do(3)
    assert [[1], [3]] == recorder.groups


async def test_weights_fill_the_buffer_and_the_group_and_a_heavy_item_goes_alone() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher("t", recorder.work, BatchLimits(5, 3))
    asking = [asyncio.create_task(batcher.do(0, weight=9))]
    await started(recorder)
    asking += [asyncio.create_task(batcher.do(number, weight=2)) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        batcher.admit(2)
    waiting = batcher.buffered
    recorder.gate.set()
    await asyncio.gather(*asking)

    assert (4, 0) == (waiting, batcher.buffered)
    assert [[0], [1], [2]] == recorder.groups


async def test_closing_refuses_the_items_in_work_the_waiting_ones_and_later_ones() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher("t", recorder.work, BatchLimits(10, 10))
    asking = [asyncio.create_task(batcher.do(1))]
    await started(recorder)
    asking.append(asyncio.create_task(batcher.do(2)))
    await asyncio.sleep(0)
    await batcher.close()
    await batcher.close()

    outcomes = await asyncio.gather(*asking, batcher.do(3), return_exceptions=True)
    assert [ShuttingDown] * 3 == [type(outcome) for outcome in outcomes]
    assert [[1]] == recorder.groups


async def test_a_group_does_not_inherit_the_deadline_of_the_caller_that_started_it() -> None:
    async def work(items: Sequence[int]) -> Sequence[float | None]:
        return [remaining() for _ in items]

    set_deadline(1)

    assert await Batcher("t", work, BatchLimits(10, 10)).do(1) is None


async def test_after_a_group_of_several_the_next_one_gathers() -> None:
    recorder = Recorder()
    batcher = Batcher("t", recorder.work, BatchLimits(10, 10, gather_seconds=0.2))
    await asyncio.gather(batcher.do(1), batcher.do(2))
    third = asyncio.create_task(batcher.do(3))
    await asyncio.sleep(0)
    fourth = asyncio.create_task(batcher.do(4))
    await asyncio.gather(third, fourth)

    assert [[1, 2], [3, 4]] == recorder.groups


async def test_a_cancelled_caller_does_not_lose_the_others() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher("t", recorder.work, BatchLimits(10, 10))
    first = asyncio.create_task(batcher.do(1))
    await started(recorder)
    gone, stays = asyncio.create_task(batcher.do(2)), asyncio.create_task(batcher.do(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()

    assert [10, 30] == await asyncio.gather(first, stays)
    assert [[1], [3]] == recorder.groups


async def test_two_lanes_process_two_groups_at_the_same_time() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher("t", recorder.work, BatchLimits(10, 10, lanes=2))
    asking = []
    for number in range(2):
        asking.append(asyncio.create_task(batcher.do(number)))
        while len(recorder.groups) < number + 1:
            await asyncio.sleep(0)
    asking += [asyncio.create_task(batcher.do(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    recorder.gate.set()

    assert [0, 10, 20, 30] == await asyncio.gather(*asking)
    assert [[0], [1], [2, 3]] == recorder.groups
