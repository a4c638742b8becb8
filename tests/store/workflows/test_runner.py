"""Runs on a real PostgreSQL: the outcome of attempts that end, fail, ask, hang or lose their process."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from services.meshkit import db
from services.meshkit.erasing import Plan, erase_rows
from services.meshkit.ids import new_id
from services.workflows.errors import EventNotFound, QueueFull, RunEnded
from services.workflows.sealing import Cipher
from services.workflows.store import runs as statements
from services.workflows.store.rows import State
from tests.store.workflows.grounds import LIMITS, SECONDS, Values, graph, ground, one


async def test_a_run_ends_with_one_event_and_leaves_no_checkpoint(
    pool: db.Pool, cipher: Cipher, tenant_id: str
) -> None:
    async with ground(pool, cipher, tenant_id, one, one) as made:
        begun = await made.start()
        row = await made.until(begun.run_id, State.SUCCEEDED)
        events = await made.events()
        left = (await made.count("checkpoints"), await made.count("writes"))

    assert [(event.event_type, event.run_id, event.tenant_id) for event in events] == [
        ("workflow.succeeded", row.run_id, tenant_id)
    ]
    assert left == (0, 0)


async def test_one_event_has_one_run_of_a_workflow(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    async with ground(pool, cipher, tenant_id, one) as made:
        event_id = new_id()
        started = await asyncio.gather(*(made.starter.start("test", tenant_id, event_id) for _ in range(8)))

    assert len({row.run_id for row in started}) == 1


async def test_one_round_claims_the_runs_of_several_tenants(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    async with ground(pool, cipher, tenant_id, one) as made:
        begun = [await made.starter.start("test", tenant, new_id()) for tenant in (tenant_id, new_id())]
        claimed = await made.runner.round()
        rows = [await made.until(row.run_id, State.SUCCEEDED) for row in begun]

    assert claimed == 2
    assert [row.tenant_id for row in rows] == [row.tenant_id for row in begun]


async def test_steps_that_are_stored_are_not_repeated_after_a_failure(
    pool: db.Pool, cipher: Cipher, tenant_id: str
) -> None:
    calls: list[str] = []

    async def first(_: Values) -> Values:
        calls.append("first")
        return {"first": "1"}

    async def second(_: Values) -> Values:
        calls.append("second")
        if calls.count("second") < 3:
            raise RuntimeError("the words of a customer")
        return {"second": "2"}

    async with ground(pool, cipher, tenant_id, first, second) as made:
        row = await made.until((await made.start()).run_id, State.SUCCEEDED, State.FAILED)

    assert row.state is State.SUCCEEDED
    assert calls == ["first", "second", "second", "second"]


async def test_a_text_of_an_earlier_step_is_the_same_in_each_repetition(
    pool: db.Pool, cipher: Cipher, tenant_id: str
) -> None:
    """A text that the sending step makes itself differs, so that its key has other content."""
    sent: list[tuple[str, str]] = []

    async def write(_: Values) -> Values:
        return {"first": new_id()}

    async def send(state: Values) -> Values:
        sent.append((state["first"], new_id()))
        if len(sent) < 3:
            raise RuntimeError
        return {}

    async with ground(pool, cipher, tenant_id, write, send) as made:
        await made.until((await made.start()).run_id, State.SUCCEEDED)

    assert [len(set(texts)) for texts in zip(*sent, strict=True)] == [1, 3]


async def test_attempts_are_bounded_and_the_reason_quotes_no_message(
    pool: db.Pool, cipher: Cipher, tenant_id: str
) -> None:
    calls: list[int] = []

    async def fail(_: Values) -> Values:
        calls.append(1)
        raise RuntimeError("the words of a customer")

    async with ground(pool, cipher, tenant_id, fail) as made:
        row = await made.until((await made.start()).run_id, State.FAILED)
        events = await made.events()

    assert len(calls) <= LIMITS.attempts + 1
    assert row.reason == "STEP_FAILED"
    assert row.detail.startswith("RuntimeError test_runner.py:")
    assert "customer" not in row.detail
    assert [event.event_type for event in events] == ["workflow.failed"]


async def test_a_refused_call_is_not_repeated(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    calls: list[int] = []

    async def refused(_: Values) -> Values:
        calls.append(1)
        metadata = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.PERMISSION_DENIED, metadata, metadata, details="no")

    async with ground(pool, cipher, tenant_id, refused) as made:
        row = await made.until((await made.start()).run_id, State.FAILED)

    assert (row.reason, row.detail, len(calls)) == ("CALL_REFUSED", "PERMISSION_DENIED", 1)


async def test_a_state_with_content_fails_by_name(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    async def keep(_: Values) -> Values:
        return {"first": "x" * 100_000}

    async with ground(pool, cipher, tenant_id, keep) as made:
        row = await made.until((await made.start()).run_id, State.FAILED)

    assert row.reason == "STATE_TOO_LARGE"


def circle(step: Callable[..., Any]) -> StateGraph[Any, Any, Any, Any]:
    made: StateGraph[Any, Any, Any, Any] = StateGraph(Values)
    made.add_node("step", step)
    made.add_edge(START, "step")
    made.add_edge("step", "step")
    return made


@pytest.mark.parametrize("where", ["the run's graph", "a graph within it"])
@pytest.mark.parametrize("failures", [0, 12])
async def test_a_graph_that_runs_in_a_circle_ends(
    pool: db.Pool, cipher: Cipher, tenant_id: str, where: str, failures: int
) -> None:
    """Attempts that fail on the way give a run no further steps, although each completed step is progress."""
    done: list[int] = []
    failed: list[int] = []

    async def turn(_: Values) -> Values:
        if len(failed) < failures and len(done) == 8 * (len(failed) + 1):
            failed.append(1)
            raise RuntimeError
        done.append(1)
        return {"first": str(len(done))}

    made = circle(turn)
    steps = made if where == "the run's graph" else graph(made.compile())
    async with ground(pool, cipher, tenant_id, made=steps) as laid:
        row = await laid.until((await laid.start()).run_id, State.FAILED)

    assert (row.reason, row.detail) == ("TOO_MANY_STEPS", "TooManySteps")
    # An attempt can continue a graph within the run behind its own last step, which is refused when it is stored.
    assert 100 <= len(done) <= 101
    assert len(failed) == failures


async def test_a_run_of_a_dead_process_goes_on_in_another(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    async with ground(pool, cipher, tenant_id, one) as made:
        begun = await made.start()
        async with db.transaction(pool) as connection:
            await statements.claim(connection, new_id(), timedelta(seconds=0.2), ["test"], 1)
        await made.runner.round()
        held = await made.runs.get(begun.run_id, None)
        row = await made.until(begun.run_id, State.SUCCEEDED)

    assert held.state is State.RUNNING
    assert row.state is State.SUCCEEDED


async def test_a_run_that_ends_each_process_fails_in_the_end(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    async with ground(pool, cipher, tenant_id, one) as made:
        begun = await made.start()
        for _ in range(LIMITS.attempts):
            async with db.transaction(pool) as connection:
                assert await statements.claim(connection, new_id(), timedelta(0), ["test"], 1)
        row = await made.until(begun.run_id, State.FAILED)

    assert row.reason == "PROCESS_LOST"


async def test_a_cancelled_run_stops_and_stores_nothing(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: Values) -> Values:
        began.set()
        try:
            await asyncio.sleep(SECONDS)
        finally:
            ended.set()
        return {}

    limits = replace(LIMITS, lease=timedelta(seconds=0.3))
    async with ground(pool, cipher, tenant_id, hang, limits=limits) as made:
        begun = await made.start()
        await made.runner.round()
        await asyncio.wait_for(began.wait(), SECONDS)
        row = await made.runs.cancel(begun.run_id, None)
        again = await made.runs.cancel(begun.run_id, None)
        await asyncio.wait_for(ended.wait(), SECONDS)
        left = await made.count("checkpoints")
        events = await made.events()

    assert row.state is again.state is State.CANCELLED
    assert left == 0
    assert [event.event_type for event in events] == ["workflow.cancelled"]


async def test_a_run_past_its_deadline_fails_whoever_holds_it(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    async def ask(_: Values) -> Values:
        return {"first": interrupt(1)}

    limits = replace(LIMITS, wait=timedelta(seconds=0.1))
    async with ground(pool, cipher, tenant_id, ask, limits=limits) as made:
        row = await made.until((await made.start()).run_id, State.FAILED)
        with pytest.raises(RunEnded):
            await made.runs.cancel(row.run_id, None)

    assert row.reason == "DEADLINE_EXCEEDED"


async def test_runs_of_several_tenants_past_their_deadline_fail_each_by_itself(
    pool: db.Pool, cipher: Cipher, tenant_id: str
) -> None:
    async with ground(pool, cipher, tenant_id, one) as made:
        begun = [await made.starter.start("test", tenant, new_id()) for tenant in (tenant_id, new_id())]
        async with db.connection(pool) as connection:
            await connection.execute("UPDATE workflows.runs SET deadline_at = now() - interval '1 second'")
        ended = await made.runner.end_overdue()
        rows = [await made.runs.get(row.run_id, None) for row in begun]

    assert ended == 2
    assert [(row.state, row.reason) for row in rows] == [(State.FAILED, "DEADLINE_EXCEEDED")] * 2


async def test_a_hanging_step_ends_with_its_attempt(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    async def hang(_: Values) -> Values:
        await asyncio.sleep(SECONDS)
        return {}

    limits = replace(LIMITS, attempts=1, attempt=timedelta(seconds=0.2))
    async with ground(pool, cipher, tenant_id, hang, limits=limits) as made:
        row = await made.until((await made.start()).run_id, State.FAILED)

    assert row.reason == "ATTEMPT_TIMEOUT"


async def test_a_stopping_process_gives_its_runs_back_uncounted(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    began = asyncio.Event()

    async def hang(_: Values) -> Values:
        began.set()
        await asyncio.sleep(SECONDS)
        return {}

    async with ground(pool, cipher, tenant_id, hang) as made:
        begun = await made.start()
        await made.runner.round()
        await asyncio.wait_for(began.wait(), SECONDS)
        await made.runner.aclose()
        row = await made.runs.get(begun.run_id, None)

    assert row.state is State.QUEUED
    assert row.attempts <= 0


async def test_the_queue_is_bounded(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    async with ground(pool, cipher, tenant_id, one) as made:
        for _ in range(200):
            await made.start()
        with pytest.raises(QueueFull):
            await made.start()
        room = await made.starter.has_room()

    assert not room


async def test_a_page_of_events_starts_runs_once_with_its_position(
    pool: db.Pool, cipher: Cipher, tenant_id: str
) -> None:
    page = [(tenant, new_id()) for tenant in (tenant_id, tenant_id, new_id())]
    async with ground(pool, cipher, tenant_id, one) as made:
        async with db.connection(pool) as connection:
            await connection.execute("INSERT INTO workflows.positions VALUES ('test', 'p1')")
        # Two processes read the same page; then the second page has an event of the first once more.
        await asyncio.gather(*(made.starter.start_page("test", "p1", "p2", page) for _ in range(2)))
        await made.starter.start_page("test", "p2", "p3", [page[0], (tenant_id, new_id())])
        await made.starter.start_page("test", "p1", "p2", [(tenant_id, new_id())])
        count = await made.count("runs")
        async with db.connection(pool) as connection:
            position = await connection.fetchval("SELECT position FROM workflows.positions")

    assert (count, position) == (4, "p3")


async def test_an_erased_tenant_leaves_nothing_and_starts_nothing(
    pool: db.Pool, cipher: Cipher, tenant_id: str
) -> None:
    async def ask(_: Values) -> Values:
        return {"first": interrupt(1)}

    async with ground(pool, cipher, tenant_id, ask) as made:
        await made.until((await made.start()).run_id, State.WAITING)
        await erase_rows(pool, Plan("workflows", first=("runs",)), tenant_id)
        left = [await made.count(table) for table in ("runs", "checkpoints", "writes", "notices")]
        with pytest.raises(EventNotFound):
            await made.start()

    assert left == [0, 0, 0, 0]
