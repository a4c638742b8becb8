"""Checkpoints: the public tests of LangGraph's savers, and the promises of ours."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.test_utils import generate_checkpoint, generate_metadata
from typing_extensions import override

from services.meshkit import db
from services.meshkit.ids import new_id
from services.workflows.engine.failures import LeaseLost, StateTooLarge
from services.workflows.engine.saver import MAX_BYTES, RunSaver
from services.workflows.errors import KeyUnavailable, SealBroken
from services.workflows.sealing import Cipher

SECRET = "the-words-of-a-customer"


class AnyThread(RunSaver):
    """Makes a run for each thread that the public tests invent: ours are there before their checkpoints."""

    @override
    async def aput(self, config: Any, *rest: Any) -> Any:
        await hold(self._pool, self._tenant_id, config["configurable"]["thread_id"], self._lease_id)
        return await super().aput(config, *rest)


async def hold(pool: db.Pool, tenant_id: str, run_id: str, lease_id: str) -> None:
    async with db.connection(pool) as connection:
        await connection.execute(
            """
            INSERT INTO workflows.runs (tenant_id, run_id, workflow, event_id, state, created_at, updated_at, due_at,
                deadline_at, lease_id)
            VALUES ($1, $2, 'test', $2, 2, now(), now(), now(), now() + interval '1 hour', $3)
            ON CONFLICT (tenant_id, run_id) DO UPDATE SET lease_id = excluded.lease_id
            """,
            tenant_id,
            run_id,
            lease_id,
        )


def place(run_id: str, checkpoint_id: str = "") -> Any:
    named = {"thread_id": run_id, "checkpoint_ns": ""}
    return {"configurable": named | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


async def test_the_public_tests_of_savers_pass(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    @checkpointer_test(name="RunSaver")
    async def ours() -> AsyncIterator[BaseCheckpointSaver[str]]:
        yield AnyThread(pool, cipher, tenant_id, new_id())

    report = await validate(ours)
    assert report.passed_all_base(), report.results
    assert sum(result.tests_passed for result in report.results.values()) >= 30


async def test_states_are_sealed_and_open_for_their_run_only(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    lease, first, second = new_id(), new_id(), new_id()
    saver = AnyThread(pool, cipher, tenant_id, lease)
    values = generate_checkpoint(channel_values={"words": SECRET, "more": {"deep": SECRET}})
    stored = await saver.aput(place(first), values, generate_metadata(note=SECRET), {})
    await saver.aput_writes(stored, [("words", SECRET)], "task")
    async with db.connection(pool) as connection:
        rows = await connection.fetch("SELECT c::text, w::text FROM workflows.checkpoints c, workflows.writes w")
        await hold(pool, tenant_id, second, lease)
        await connection.execute("UPDATE workflows.checkpoints SET run_id = $1 WHERE run_id = $2", second, first)

    assert SECRET.encode().hex() not in str(rows)
    assert SECRET not in str(rows)
    with pytest.raises(SealBroken):
        await saver.aget_tuple(place(second))
    with pytest.raises(KeyUnavailable):
        await RunSaver(pool, Cipher({"other": b"0" * 32}), tenant_id, lease).aget_tuple(place(second))


async def test_a_process_without_the_lease_writes_nothing(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    run_id, lease = new_id(), new_id()
    await hold(pool, tenant_id, run_id, lease)
    holder, late = RunSaver(pool, cipher, tenant_id, lease), RunSaver(pool, cipher, tenant_id, new_id())
    stored = await holder.aput(place(run_id), generate_checkpoint(), generate_metadata(), {})

    with pytest.raises(LeaseLost):
        await late.aput(place(run_id), generate_checkpoint(), generate_metadata(), {})
    with pytest.raises(LeaseLost):
        await late.aput_writes(stored, [("words", "x")], "task")
    found = await holder.aget_tuple(place(run_id))
    assert found is not None
    assert found.pending_writes == []


async def test_results_of_a_step_stay_when_it_is_repeated(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    run_id, lease = new_id(), new_id()
    await hold(pool, tenant_id, run_id, lease)
    saver = RunSaver(pool, cipher, tenant_id, lease)
    stored = await saver.aput(place(run_id), generate_checkpoint(), generate_metadata(), {})
    await saver.aput_writes(stored, [("words", "first")], "task")
    await saver.aput_writes(stored, [("words", "second")], "task")

    found = await saver.aget_tuple(place(run_id))
    assert found is not None
    assert found.pending_writes == [("task", "words", "first")]


async def test_a_state_with_content_is_refused(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    run_id, lease = new_id(), new_id()
    await hold(pool, tenant_id, run_id, lease)
    saver = RunSaver(pool, cipher, tenant_id, lease)

    with pytest.raises(StateTooLarge):
        await saver.aput(
            place(run_id), generate_checkpoint(channel_values={"body": "x" * MAX_BYTES}), generate_metadata(), {}
        )


async def test_another_tenant_reads_nothing(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    run_id, lease = new_id(), new_id()
    saver = AnyThread(pool, cipher, tenant_id, lease)
    await saver.aput(place(run_id), generate_checkpoint(), generate_metadata(), {})

    other = RunSaver(pool, cipher, new_id(), lease)
    found = await asyncio.gather(other.aget_tuple(place(run_id)), saver.aget_tuple(place(run_id)))
    assert found[0] is None
    assert found[1] is not None
