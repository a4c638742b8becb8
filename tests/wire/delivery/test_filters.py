"""Endpoints get the events of their filters, their conditions and the abilities of their keys, and no others."""

import time
from dataclasses import replace

import grpc
import pytest

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from tests.store.processor.stream.conftest import (
    OTHER_TENANT,
    TENANT,
    calendar_draft,
    conversation_draft,
    mail_draft,
)
from tests.wire.delivery.delivering import Start, receiving, start_delivery
from tests.wire.processor.stream.conftest import (
    Processor,
    processor,
    start_processor,
    tls,
    until,
)

__all__ = ["processor", "start_delivery", "start_processor", "tls"]
pytestmark = pytest.mark.timeout(300)


async def test_an_endpoint_gets_the_events_of_its_filter_only(processor: Processor, start_delivery: Start) -> None:
    async with receiving() as receiver:
        delivery = await start_delivery()
        chosen = pb2.EndpointFilter(tenant_ids=[TENANT], event_types=["mail.deleted"])
        await delivery.create(receiver.url, filter=chosen)
        await processor.publish(
            mail_draft("a"), mail_draft("b", OTHER_TENANT, event_type="mail.deleted"), mail_draft("c", generation=1)
        )
        [wanted] = await processor.publish(mail_draft("d", event_type="mail.deleted"))
        await until(lambda: receiver.count >= 1)

        assert {"d": [wanted]} == receiver.seen


async def test_conditions_choose_among_mails_and_a_rate_spreads_them(
    processor: Processor, start_delivery: Start
) -> None:
    async with receiving() as receiver:
        delivery = await start_delivery()
        subjects = [pb2.EndpointCondition(field=pb2.ENDPOINT_CONDITION_FIELD_SUBJECT, values=["Chosen"])]
        endpoint = await delivery.create(receiver.url, filter=pb2.EndpointFilter(conditions=subjects), rate=20)
        drafts = [mail_draft(f"m{number}") for number in range(60)]
        for draft in drafts[::2]:
            assert draft.mail is not None
            draft.mail.message.subject = "chosen"
        ids = await processor.publish(*drafts)
        began = time.monotonic()
        await until(lambda: receiver.count >= 30)

        # Thirty at twenty in a second, the first two at once. The bound is from below: a slow machine breaks it not.
        assert time.monotonic() - began > 1.0
        assert {(one,) for one in ids[::2]} == {(*seen,) for seen in receiver.seen.values()}
        assert (20, subjects[0].field) == (endpoint.rate, endpoint.filter.conditions[0].field)


async def test_calendars_and_conversations_go_to_keys_of_their_ability(
    processor: Processor, start_delivery: Start
) -> None:
    async with receiving() as receiver:
        delivery = await start_delivery()
        chosen = pb2.EndpointFilter(event_types=["calendar.*", "conversation.*"])
        with pytest.raises(grpc.RpcError) as refused:
            await delivery.create(receiver.url, filter=chosen)
        assert "KEY_LACKS_ABILITY" in str(refused.value.trailing_metadata())
        able = replace(delivery, key=(*delivery.key[:-1], ("x-mailmesh-abilities", "*")))
        endpoint = await able.create(receiver.url, filter=chosen)
        ids = await processor.publish(calendar_draft("calendar:1"), mail_draft(), conversation_draft("conversation:1"))
        await until(lambda: receiver.count >= 2)

        assert {ids[0], ids[2]} == {one for seen in receiver.seen.values() for one in seen}
        # A key that may not read these events could send them to itself by changing the address.
        with pytest.raises(grpc.RpcError) as hidden:
            await delivery.get(endpoint)
        assert "ENDPOINT_NOT_FOUND" in str(hidden.value.trailing_metadata())


async def test_the_position_of_an_endpoint_is_hidden_from_a_limited_key(
    start_delivery: Start, processor: Processor
) -> None:
    """It moves with the events of all tenants."""
    delivery = await start_delivery()
    made = await delivery.create("http://127.0.0.1:9/hooks", filter=pb2.EndpointFilter(tenant_ids=[TENANT]))
    limited = [(name, TENANT if name == "x-mailmesh-tenants" else value) for name, value in delivery.key]
    request = pb2.GetEndpointRequest(endpoint_id=made.endpoint_id)
    shown = (await delivery.stub.GetEndpoint(request, metadata=limited)).endpoint
    listed = (await delivery.stub.ListEndpoints(pb2.ListEndpointsRequest(), metadata=limited)).endpoints

    assert "earliest" == made.position
    assert [(made.endpoint_id, "")] * 2 == [(one.endpoint_id, one.position) for one in (shown, *listed)]
