"""The named model: off by default, two switches, closed answers, a budget, and an entry before a text leaves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from mailmesh.processor.v1 import model_service_pb2 as pb2
from services.egress.faults import Fault
from services.meshkit import db
from services.meshkit.clock import ManualClock, SystemClock
from services.meshkit.errors import MeshError, Overloaded
from services.meshkit.shares import Shares
from services.processor.errors import TenantNotFound
from services.processor.model.errors import (
    ModelAnswerInvalid,
    ModelNotEnabled,
    ModelOutsideRefused,
    ModelTokensSpent,
    ModelUnavailable,
)
from services.processor.model.prompts import MAX_READ
from services.processor.model.requests import Models
from services.processor.model.retention import READABLE, ModelCallRetention
from tests.factories.receivers import Names
from tests.store.processor.model.asking import KEY, LABELS, NAMES, ORDER, PARCEL, Ground, asking
from tests.unit.primitives.attacks import ATTACKS


@pytest.fixture
async def ground(pool: db.Pool) -> AsyncIterator[Ground]:
    async with asking(pool) as made:
        yield made


async def test_the_model_is_off_until_a_setting_allows_it(ground: Ground) -> None:
    for call in (ground.classify, ground.extract):
        with pytest.raises(ModelNotEnabled):
            await call()
    assert (0, []) == (ground.model.count, await ground.calls())

    await ground.allow(may_leave_machine=False)
    assert "delivery" == (await ground.classify()).label
    await ground.allow(is_enabled=False)
    with pytest.raises(ModelNotEnabled):
        await ground.classify()
    assert 1 == ground.model.count


async def test_a_text_leaves_the_machine_only_with_the_second_setting(pool: db.Pool) -> None:
    names = Names(model_example=[["127.0.0.1"]])
    async with asking(pool, host="model.example", names=names) as ground:
        await ground.allow(may_leave_machine=False)
        for call in (ground.classify, ground.extract):
            with pytest.raises(ModelOutsideRefused):
                await call()
        refused = (ground.model.count, await ground.calls(), list(names.questions))
        await ground.allow()
        answer = await ground.classify()

        assert (0, [], []) == refused
        assert ("delivery", True) == (answer.label, (await ground.calls())[0].is_outside)


async def test_a_tenant_out_of_scope_or_unknown_is_not_there(ground: Ground) -> None:
    await ground.allow()
    request = pb2.ClassifyByModelRequest(text=PARCEL, labels=LABELS)
    for asker in (ground.asker(scope=[]), ground.asker(tenant="019a9f0e-7c1e-7000-8000-000000000002")):
        for call in (
            ground.models.classify(asker, request),
            ground.models.settings(asker),
            ground.models.update_settings(asker, pb2.ModelSettings(is_enabled=True)),
            ground.models.calls(asker, None, 10),
        ):
            with pytest.raises(TenantNotFound):
                await call


async def test_a_label_out_of_the_callers_set_is_unknown(ground: Ground) -> None:
    await ground.allow()
    ground.fail("outside")

    assert "unknown" == (await ground.classify()).label


@pytest.mark.parametrize("is_obedient", [False, True])
async def test_no_attack_gets_a_label_out_of_the_set_or_changes_a_later_answer(
    ground: Ground, *, is_obedient: bool
) -> None:
    await ground.allow()
    ground.model.is_obedient = is_obedient
    before = await ground.classify()

    assert len(set(ATTACKS)) >= 60
    labels = set()
    for attack in ATTACKS:
        labels.add((await ground.classify(f"{PARCEL} {attack}")).label)
    assert labels <= NAMES
    assert before.label == (await ground.classify(PARCEL + " ")).label


async def test_no_attack_gets_a_value_from_the_model_that_does_not_stand_in_the_text(ground: Ground) -> None:
    await ground.allow()
    ground.model.is_obedient = True

    for attack in ATTACKS:
        text = f"{ORDER}{attack}"[:65_000]
        answer = (await ground.extract(text)).answer
        for value in (value for field in answer.fields for value in field.values):
            assert text[value.start : value.end] == value.source
    assert {"1234.56 EUR"} == {
        value.value for field in answer.fields for value in field.values if field.name == "total"
    }


async def test_values_are_looked_up_in_the_text_and_invented_ones_are_refused(ground: Ground) -> None:
    await ground.allow()
    found = await ground.extract()
    ground.fail("invented")
    invented = await ground.extract(ORDER + " ")

    values = {field.name: field.values[0] for field in found.answer.fields}
    assert ("1234.56 EUR", "1.234,56 EUR", "amount/model") == (
        values["total"].value, values["total"].source, values["total"].method,
    )  # fmt: skip
    assert ("2026-12-24", 0) == (values["due"].value, found.refused)
    assert ([], ["total"], 1) == (list(invented.answer.fields), list(invented.answer.missing), invented.refused)


async def test_a_schema_that_is_not_supported_costs_nothing(ground: Ground) -> None:
    await ground.allow()
    with pytest.raises(MeshError, match="pattern"):
        await ground.extract(schema={"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}})

    assert (0, 0, []) == (ground.model.count, await ground.tokens(), await ground.calls())


@pytest.mark.parametrize(
    "kind", ["malformed", "second_object", "extra_field", "empty", "cut", "not_json", "tool_call", "refusal", "huge"]
)
async def test_an_answer_of_another_form_is_refused_after_bounded_attempts(ground: Ground, kind: str) -> None:
    await ground.allow()
    ground.fail(kind, count=3)
    with pytest.raises(ModelAnswerInvalid):
        await ground.classify()
    asked = ground.model.count
    ground.fail(kind, count=1)
    answer = await ground.classify()

    assert (2, "delivery") == (asked, answer.label)
    assert "MODEL_ANSWER_INVALID" == (await ground.calls())[1].reason


async def test_a_call_has_one_text_no_tool_and_no_memory(ground: Ground) -> None:
    await ground.allow()
    await ground.classify("The first text is secret.")
    await ground.classify(PARCEL, subject="Chairs")
    sent = ground.model.requests[-1]

    assert {"model", "messages", "response_format", "temperature", "max_completion_tokens", "n", "stream"} == set(sent)
    assert ["system", "user"] == [message["role"] for message in sent["messages"]]
    assert PARCEL in sent["messages"][1]["content"]
    assert "secret" not in str(sent)


async def test_a_long_text_is_cut_and_said_to_be(ground: Ground) -> None:
    await ground.allow()
    answer = await ground.classify(PARCEL + "x" * MAX_READ)

    assert answer.is_text_cut
    assert len(ground.model.requests[-1]["messages"][1]["content"]) < MAX_READ + 100


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


async def test_the_server_is_asked_again_as_it_says_and_not_for_ever(ground: Ground) -> None:
    await ground.allow()
    began = asyncio.get_running_loop().time()
    ground.fail("status", status=429, retry_after=1)
    answer = await ground.classify()
    waited = asyncio.get_running_loop().time() - began
    ground.fail("status", status=500, count=9)
    with pytest.raises(ModelUnavailable) as failed:
        await ground.classify(PARCEL + " ")
    asked = ground.model.count
    ground.fail("status", status=429, retry_after=600)
    with pytest.raises(ModelUnavailable) as throttled:
        await ground.classify(PARCEL + "  ")

    assert "delivery" == answer.label
    assert waited >= 1
    assert ({"cause": "http_500"}, 4) == (failed.value.metadata, asked)
    assert 5 == ground.model.count
    assert throttled.value.retry_after is not None
    assert 600 == throttled.value.retry_after.total_seconds()
    assert answer.tokens == await ground.tokens()  # refusals cost nothing


async def test_a_refusal_that_no_retry_removes_is_not_repeated(ground: Ground) -> None:
    await ground.allow()
    ground.fail("status", status=401, count=2)
    with pytest.raises(ModelUnavailable) as refused:
        await ground.classify()

    assert ({"cause": "http_401"}, 1) == (refused.value.metadata, ground.model.count)


async def test_a_silent_server_costs_the_time_of_a_question_alone(pool: db.Pool) -> None:
    async with asking(pool, seconds=1.0) as ground:
        await ground.allow()
        ground.fail("slow", seconds=20)
        began = asyncio.get_running_loop().time()
        with pytest.raises(ModelUnavailable) as late:
            await ground.classify()

        assert asyncio.get_running_loop().time() - began < 5
        assert {"cause": Fault.TIMED_OUT.value} == late.value.metadata
        # It may have read the text: the reservation counts.
        assert (await ground.calls())[0].tokens == await ground.tokens() > 0


async def test_an_address_that_the_operator_does_not_allow_is_not_called(pool: db.Pool) -> None:
    for address in ("10.0.0.5", "169.254.169.254", "0.0.0.0"):  # noqa: S104 - an address that is refused
        names = Names(model_example=[[address]])
        async with asking(pool, host="model.example", names=names) as ground:
            await ground.allow()
            with pytest.raises(ModelUnavailable) as refused:
                await ground.classify()

            assert {"cause": "address_refused"} == refused.value.metadata
            assert (0, 0) == (ground.model.count, await ground.tokens())


async def test_calls_beyond_their_share_are_refused_at_once(ground: Ground) -> None:
    await ground.allow()
    narrow = ground.another(calls=1)
    ground.fail("slow", seconds=1)
    request = pb2.ClassifyByModelRequest(tenant_id=ground.tenant, text=PARCEL, labels=LABELS)
    outcomes = await asyncio.gather(
        *(narrow.classify(ground.asker(), request) for _ in range(3)), return_exceptions=True
    )

    assert 2 == sum(isinstance(outcome, Overloaded) for outcome in outcomes)
    assert 1 == ground.model.count


async def test_without_a_model_nothing_is_enabled(pool: db.Pool, ground: Ground) -> None:
    without = Models(pool, None, None, Shares("model_calls", 1, 1), 1000, SystemClock())
    request = pb2.ClassifyByModelRequest(tenant_id=ground.tenant, text=PARCEL, labels=LABELS)
    for call in (
        without.classify(ground.asker(), request),
        without.update_settings(ground.asker(), pb2.ModelSettings(is_enabled=True)),
    ):
        with pytest.raises(MeshError) as refused:
            await call
        assert "MODEL_NOT_CONFIGURED" == refused.value.reason
    settings, state = await without.update_settings(ground.asker(), pb2.ModelSettings())
    assert (False, "") == (settings.is_enabled, state.model)


async def test_the_key_reaches_the_server_and_no_text_of_ours(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    await ground.allow()
    with caplog.at_level("DEBUG"):
        await ground.classify()
        ground.model._key = "another"
        with pytest.raises(ModelUnavailable) as refused:
            await ground.classify(PARCEL + " ")

    assert {"cause": "http_401"} == refused.value.metadata
    assert KEY not in caplog.text + repr(ground.models.__dict__) + repr(refused.value) + str(await ground.calls())
    assert "parcel" not in caplog.text


async def test_old_entries_are_deleted(pool: db.Pool, ground: Ground) -> None:
    await ground.allow()
    await ground.classify()
    now = SystemClock().now()
    kept = await ModelCallRetention(pool, ManualClock(now)).round()
    deleted = await ModelCallRetention(pool, ManualClock(now + READABLE * 2)).round()

    assert (0, 1, []) == (kept, deleted, list(await ground.calls()))
