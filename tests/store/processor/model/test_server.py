"""The model's server: asked again as it says, bounded in time and number, at allowed addresses only."""

import asyncio

import pytest

from mailmesh.processor.v1 import model_service_pb2 as pb2
from services.egress.faults import Fault
from services.meshkit import db
from services.meshkit.errors import Overloaded
from services.processor.model.errors import (
    ModelUnavailable,
)
from tests.factories.receivers import Names
from tests.store.processor.model.asking import KEY, LABELS, PARCEL, Ground, asking


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
