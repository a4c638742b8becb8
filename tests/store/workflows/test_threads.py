"""Plain steps that do not return: they keep their threads, delay no other run, and end the process in the end."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from services.meshkit import db
from services.meshkit.errors import Overloaded
from services.workflows.engine.threads import RUN, StepThreads
from services.workflows.sealing import Cipher
from services.workflows.store.rows import State
from tests.store.workflows.grounds import LIMITS, SECONDS, Values, ground

AT_ONCE = 12
"""More than asyncio's own threads on a small machine."""
HANGING = replace(LIMITS, at_once=AT_ONCE, attempts=1, attempt=timedelta(seconds=1))


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets steps that hang go."""
    event = threading.Event()
    yield event
    event.set()


async def test_plain_steps_that_hang_delay_no_other_run(
    pool: db.Pool, cipher: Cipher, tenant_id: str, release: threading.Event
) -> None:
    hanging: set[str] = set()

    def hang(state: Values) -> Values:
        if state["event_id"] in hanging:
            release.wait()
        return {"first": "1"}

    async with ground(pool, cipher, tenant_id, hang, limits=HANGING) as made:
        # A run has two attempts here: its first checkpoint counts as progress.
        begun = [await made.start() for _ in range(AT_ONCE // 2 - 1)]
        hanging.update(row.event_id for row in begun)
        ended = [await made.until(row.run_id, State.FAILED) for row in begun]
        others = [await made.start() for _ in range(AT_ONCE)]
        succeeded = [await made.until(row.run_id, State.SUCCEEDED, State.FAILED) for row in others]

    assert {row.reason for row in ended} == {"ATTEMPT_TIMEOUT"}
    assert {row.state for row in succeeded} == {State.SUCCEEDED}


async def test_a_process_whose_threads_are_lost_begins_no_run_and_ends(
    pool: db.Pool, cipher: Cipher, tenant_id: str, release: threading.Event
) -> None:
    def hang(_: Values) -> Values:
        release.wait()
        return {}

    async with ground(pool, cipher, tenant_id, hang, limits=replace(HANGING, at_once=2)) as made:
        await made.until((await made.start()).run_id, State.FAILED)
        later = await made.start()
        begun = await made.runner.round()
        with pytest.raises(Overloaded) as ended:
            await asyncio.wait_for(made.threads.until_exhausted(), SECONDS)
        row = await made.runs.get(later.run_id, None)

    assert begun == 0
    assert row.state is State.QUEUED
    assert ended.value.metadata == {"bound": "step_threads"}


async def test_threads_that_return_are_lost_no_longer(release: threading.Event) -> None:
    threads = StepThreads(1, wait_seconds=0.01)
    RUN.set("run")
    first, second = threads.submit(release.wait), threads.submit(release.wait)
    first.cancel()
    was_exhausted = threads.is_exhausted
    release.set()
    for call in (first, second):
        assert call.result(SECONDS)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.until_exhausted(), 0.1)

    assert (was_exhausted, threads.is_exhausted) == (True, False)


async def test_a_step_that_waits_for_a_thread_is_cancelled_without_one(release: threading.Event) -> None:
    threads = StepThreads(1)
    RUN.set("run")
    first, second = threads.submit(release.wait), threads.submit(release.wait)

    assert second.cancel()
    assert not threads.is_exhausted
    release.set()
    assert first.result(SECONDS) is True
