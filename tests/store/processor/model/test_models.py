"""The named model: off by default, two switches, and closed answers that no text of strangers opens."""

import pytest

from mailmesh.processor.v1 import model_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.errors import MeshError
from services.meshkit.shares import Shares
from services.processor.errors import TenantNotFound
from services.processor.model.errors import (
    ModelAnswerInvalid,
    ModelNotEnabled,
    ModelOutsideRefused,
)
from services.processor.model.prompts import MAX_READ
from services.processor.model.requests import Models
from tests.factories.receivers import Names
from tests.store.processor.model.asking import LABELS, NAMES, ORDER, PARCEL, Ground, asking
from tests.unit.primitives.attacks import ATTACKS


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
