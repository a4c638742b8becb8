"""Questions to a person on a real PostgreSQL: asked once, sealed, and answered once."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from langgraph.types import interrupt

from services.meshkit import db
from services.meshkit.ids import new_id
from services.workflows.engine.failures import AskedTwice
from services.workflows.errors import NotWaiting, RunNotFound
from services.workflows.sealing import Cipher
from services.workflows.store import runs as statements
from services.workflows.store.rows import State
from tests.store.workflows.grounds import LIMITS, Values, ground, one


async def test_a_person_answers_once_and_the_question_is_sealed(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    answers: list[Any] = []

    async def ask(_: Values) -> Values:
        answers.append(interrupt({"draft": "the words of a customer"}))
        return {"second": "2"}

    async with ground(pool, cipher, tenant_id, one, ask) as made:
        row = await made.until((await made.start()).run_id, State.WAITING)
        async with db.connection(pool) as connection:
            stored = str(await connection.fetch("SELECT r::text FROM workflows.runs r"))
        with pytest.raises(NotWaiting):
            await made.runs.resume(row.run_id, "another", "1", None)
        with pytest.raises(RunNotFound):
            await made.runs.resume(row.run_id, row.question_id, "1", [new_id()])
        await made.runs.resume(row.run_id, row.question_id, '{"text": "first"}', None)
        await made.runs.resume(row.run_id, row.question_id, '{"text": "second"}', None)
        await made.until(row.run_id, State.SUCCEEDED)
        events = await made.events()

    assert json.loads(made.runs.question(row)) == {"draft": "the words of a customer"}
    assert "customer" not in stored
    assert b"customer".hex() not in stored
    assert answers == [{"text": "first"}]
    assert [event.event_type for event in events] == ["workflow.waiting", "workflow.succeeded"]


async def test_an_answer_that_was_used_answers_no_other_question(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    """The process ends after each answer was handed over, and before the outcome of the attempt is stored."""
    answers: list[Any] = []

    async def ask_first(_: Values) -> Values:
        answers.append(("first", interrupt("first?")))
        return {"first": "1"}

    async def ask_second(_: Values) -> Values:
        answers.append(("second", interrupt("second?")))
        return {"second": "2"}

    async with ground(pool, cipher, tenant_id, ask_first, ask_second) as made:
        row = await made.until((await made.start()).run_id, State.WAITING)
        answered = await made.runs.resume(row.run_id, row.question_id, '"one"', None)
        lost = []
        for _ in range(2):
            lease = new_id()
            async with db.transaction(pool) as connection:
                (claimed,) = await statements.claim(connection, lease, timedelta(0), ["test"], 1)
            lost.append(await made.attempts.run(claimed, lease))
        assert answered.question_id not in {one.question_id if one else "" for one in lost}
        assert None not in lost
        row = await made.until(row.run_id, State.WAITING)
        await made.runs.resume(row.run_id, row.question_id, '"two"', None)
        await made.until(row.run_id, State.SUCCEEDED)

    assert set(answers) == {("first", "one"), ("second", "two")}


async def test_a_step_that_asks_twice_fails_by_name(pool: db.Pool, cipher: Cipher, tenant_id: str) -> None:
    second: list[Any] = []

    async def ask(_: Values) -> Values:
        interrupt(1)
        second.append(interrupt(2))
        return {}

    async with ground(pool, cipher, tenant_id, ask) as made:
        row = await made.until((await made.start()).run_id, State.WAITING)
        await made.runs.resume(row.run_id, row.question_id, "1", None)
        # The process ends before the outcome is stored: the second attempt hands over nothing.
        lease = new_id()
        async with db.transaction(pool) as connection:
            (claimed,) = await statements.claim(connection, lease, timedelta(0), ["test"], 1)
        with pytest.raises(AskedTwice):
            await made.attempts.run(claimed, lease)
        row = await made.until(row.run_id, State.FAILED)

    assert row.reason == "ASKED_TWICE"
    assert second == []


@pytest.mark.parametrize("question", ["x" * 5000, object(), float("nan")], ids=["long", "no JSON", "not a number"])
async def test_a_question_is_short_json(pool: db.Pool, cipher: Cipher, tenant_id: str, question: object) -> None:
    async def ask(_: Values) -> Values:
        return {"first": interrupt(question)}

    async with ground(pool, cipher, tenant_id, ask, limits=replace(LIMITS, attempts=1)) as made:
        row = await made.until((await made.start()).run_id, State.FAILED)

    assert row.reason in ("QUESTION_INVALID", "STEP_FAILED")
