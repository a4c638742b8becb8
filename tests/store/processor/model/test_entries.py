"""The entries of calls of the model: stored before a text leaves, counted against the budget, deleted by their age."""

import asyncio
from datetime import timedelta

import pytest

from mailmesh.processor.v1 import model_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import ManualClock, SystemClock
from services.processor.model.errors import (
    ModelNotEnabled,
    ModelTokensSpent,
)
from services.processor.model.retention import READABLE, ModelCallRetention
from tests.store.processor.model.asking import LABELS, PARCEL, Ground


async def test_an_entry_is_stored_before_its_text_is_sent_and_has_no_text(ground: Ground) -> None:
    await ground.allow()
    ground.fail("slow", seconds=30)
    asked = asyncio.create_task(ground.classify(subject="Chairs"))
    while not ground.model.count:
        await asyncio.sleep(0.01)
    waiting = (await ground.calls())[0]
    reserved = await ground.tokens()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    after = (await ground.calls())[0]
    answered = await ground.classify(subject="Chairs")
    entry = (await ground.calls())[0]
    stored = str([dict(row) for row in await ground.pool.fetch("SELECT * FROM processor.model_calls")])

    assert (pb2.MODEL_CALL_STATE_ASKED, reserved) == (waiting.state, waiting.tokens)
    assert (pb2.MODEL_CALL_STATE_ASKED, reserved) == (after.state, after.tokens)
    assert (pb2.MODEL_CALL_STATE_ANSWERED, "delivery", "classify", "1", "key") == (
        entry.state, entry.label, entry.operation, entry.prompt_version, entry.key_id,
    )  # fmt: skip
    assert entry.digest == waiting.digest
    assert reserved + answered.tokens == await ground.tokens()
    assert not any(word in stored for word in ("chairs", "Chairs", "parcel"))


async def test_a_tenant_spends_no_more_tokens_than_it_has_for_the_day(ground: Ground) -> None:
    await ground.allow()
    single = (await ground.classify()).tokens
    small = ground.another(tokens_per_day=8000, attempts=1)
    request = pb2.ClassifyByModelRequest(tenant_id=ground.tenant, labels=LABELS)

    delays: list[timedelta | None] = []

    async def ask(number: int) -> str:
        request.text = f"{PARCEL} {number}"
        asked = pb2.ClassifyByModelRequest()
        asked.CopyFrom(request)
        try:
            await small.classify(ground.asker(), asked)
        except ModelTokensSpent as exc:
            delays.append(exc.retry_after)
            return "spent"
        assert await ground.tokens() <= 8000
        return "answered"

    outcomes = [
        outcome
        for begin in range(100, 180, 10)
        for outcome in await asyncio.gather(*map(ask, range(begin, begin + 10)))
    ]
    other = await ground.connect()
    await ground.models.update_settings(ground.asker(other), pb2.ModelSettings(is_enabled=True))
    request.text = PARCEL
    unaffected = await small.classify(ground.asker(other), request)

    assert {"spent", "answered"} == set(outcomes)
    assert all(delay is not None and timedelta() < delay <= timedelta(days=1) for delay in delays)
    assert single <= await ground.tokens() <= 8000
    assert "delivery" == unaffected.label


async def test_the_tokens_of_yesterday_are_not_those_of_today(ground: Ground) -> None:
    await ground.allow()
    await ground.pool.execute(
        "UPDATE processor.model_settings SET day = day - 1, tokens = 999999 WHERE tenant_id = $1", ground.tenant
    )

    assert 0 == await ground.tokens()
    answer = await ground.classify()
    assert answer.tokens == await ground.tokens()


async def test_a_server_that_counts_nothing_is_taken_to_have_spent_the_most(ground: Ground) -> None:
    await ground.allow()
    counted = (await ground.classify()).tokens
    ground.fail("no_usage")

    assert (await ground.classify(PARCEL + " ")).tokens > counted


async def test_an_answer_is_kept_for_its_tenant_and_costs_nothing_the_second_time(ground: Ground) -> None:
    await ground.allow()
    first, again = await ground.classify(), await ground.classify()
    extracted = [await ground.extract() for _ in range(2)]
    asked = ground.model.count
    other = await ground.connect()
    await ground.models.update_settings(ground.asker(other), pb2.ModelSettings(is_enabled=True))
    request = pb2.ClassifyByModelRequest(tenant_id=ground.tenant, text=PARCEL, labels=LABELS)
    await ground.models.classify(ground.asker(other), request)
    await ground.allow(is_enabled=False)

    assert (first.label, 0) == (again.label, again.tokens)
    assert extracted[0].answer == extracted[1].answer
    assert (2, 3) == (asked, ground.model.count)
    with pytest.raises(ModelNotEnabled):
        await ground.classify()


async def test_old_entries_are_deleted(pool: db.Pool, ground: Ground) -> None:
    await ground.allow()
    await ground.classify()
    now = SystemClock().now()
    kept = await ModelCallRetention(pool, ManualClock(now)).round()
    deleted = await ModelCallRetention(pool, ManualClock(now + READABLE * 2)).round()

    assert (0, 1, []) == (kept, deleted, list(await ground.calls()))
