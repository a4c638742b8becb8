"""Delivery beside Processor on real servers, databases and receivers: several processes, stalls, and full queues."""

import asyncio
import time
from collections import defaultdict
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from mailmesh.processor.v1 import event_feed_service_pb2 as feed_pb2
from mailmesh.processor.v1 import event_pb2, event_service_pb2
from mailmesh.processor.v1.event_feed_service_pb2_grpc import EventFeedServiceStub
from services.delivery.sending.feed import Feed
from services.meshkit.channel import mesh_channel
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.errors import InvalidArgument, MeshError
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from tests.programs.postgres import TestDatabase
from tests.store.processor.stream.conftest import (
    TENANT,
    mail_draft,
)
from tests.wire.delivery.delivering import Start, Tls, receiving, start_delivery
from tests.wire.processor.stream.conftest import (
    Processor,
    processor,
    start_processor,
    tls,
    until,
)

__all__ = ["processor", "start_delivery", "start_processor", "tls"]
pytestmark = pytest.mark.timeout(300)


async def test_two_processes_deliver_each_event_once_and_one_goes_on_for_the_other(
    processor: Processor, start_delivery: Start
) -> None:
    async with receiving() as first, receiving() as second:
        one, other = await start_delivery(), await start_delivery()
        for receiver in (first, second):
            await one.create(receiver.url)
        wanted: dict[str, list[str]] = defaultdict(list)
        for number in range(30):
            message = f"m{number % 10}"
            wanted[message] += await processor.publish(mail_draft(message, generation=number + 1))
        await until(lambda: first.count >= 30 and second.count >= 30)
        assert wanted == first.seen == second.seen

        await one.stop()
        for message in wanted:
            wanted[message] += await processor.publish(mail_draft(message, generation=99))
        await until(lambda: first.count >= 40 and second.count >= 40)
        assert wanted == first.seen == second.seen
        del other


async def test_a_receiver_that_stalls_takes_no_room_of_another(processor: Processor, start_delivery: Start) -> None:
    async with receiving() as stalled, receiving() as quick:
        delivery = await start_delivery(requests=4)
        released = asyncio.Event()

        async def stall(_content: dict[str, Any]) -> int:
            await released.wait()
            return 200

        stalled.answer = stall
        for _ in range(3):
            await delivery.create(stalled.url)
        await delivery.create(quick.url)
        for _ in range(20):
            await processor.publish(mail_draft())
        await until(lambda: quick.count >= 20)
        assert 0 == stalled.count

        released.set()
        await until(lambda: stalled.count >= 60)


async def test_a_failing_message_waits_and_the_others_pass(processor: Processor, start_delivery: Start) -> None:
    async with receiving() as receiver:
        is_well = asyncio.Event()

        async def refuse_one(content: dict[str, Any]) -> int:
            return 500 if content["data"]["messageId"] == "ill" and not is_well.is_set() else 200

        receiver.answer = refuse_one
        delivery = await start_delivery()
        endpoint = await delivery.create(receiver.url)
        ill = await processor.publish(*(mail_draft("ill", generation=number) for number in range(1, 4)))
        await processor.publish(*(mail_draft() for _ in range(50)))
        await until(lambda: receiver.count >= 50)
        assert "ill" not in receiver.seen
        async with asyncio.timeout(30):  # The last answers are recorded a moment after they were given.
            while (await delivery.get(endpoint)).waiting > len(ill):
                await asyncio.sleep(0.05)
        assert (await delivery.get(endpoint)).waiting == len(ill)

        is_well.set()
        await until(lambda: receiver.count >= 53)
        assert ill == receiver.seen["ill"]


async def test_a_receiver_that_asks_for_a_token_gets_one_until_it_is_removed(
    processor: Processor, start_delivery: Start
) -> None:
    async with receiving() as receiver:
        delivery = await start_delivery()
        tokens = {"token_url": receiver.url.replace("hooks", "token"), "client_id": "mesh", "client_secret": "word"}
        endpoint = await delivery.create(receiver.url, client_credentials=tokens)
        await processor.publish(mail_draft("a"))
        await until(lambda: receiver.count >= 1)

        assert ["Bearer word-of-mesh"] == receiver.authorizations
        assert tokens["token_url"] == endpoint.token_url
        assert not endpoint.HasField("client_certificate_ends_at")
        named = FieldMask(paths=["client_credentials", "url"])
        changed = pb2.UpdateEndpointRequest(endpoint_id=endpoint.endpoint_id, url=receiver.url, update_mask=named)
        updated = (await delivery.stub.UpdateEndpoint(changed, metadata=delivery.key)).endpoint
        await processor.publish(mail_draft("b"))
        await until(lambda: receiver.count >= 2)
        assert ("", ["Bearer word-of-mesh", ""]) == (updated.token_url, receiver.authorizations)


async def test_events_from_a_time_on_are_delivered_once_more(processor: Processor, start_delivery: Start) -> None:
    async with receiving() as receiver:
        delivery = await start_delivery()
        endpoint = await delivery.create(receiver.url)
        [first] = await processor.publish(mail_draft("a"))
        await until(lambda: receiver.count >= 1)
        await asyncio.sleep(0.01)
        moment = Timestamp()
        moment.FromNanoseconds(time.time_ns())
        await processor.publish(mail_draft("b"), mail_draft("c"))
        await until(lambda: receiver.count >= 3)
        asked = pb2.RecoverEndpointRequest(endpoint_id=endpoint.endpoint_id, events_from=moment, dry_run=True)
        counted = await delivery.stub.RecoverEndpoint(asked, metadata=delivery.key)
        assert (2, 3) == (counted.deliveries, receiver.count)

        asked.dry_run = False
        await delivery.stub.RecoverEndpoint(asked, metadata=delivery.key)
        await until(lambda: receiver.count >= 5)
        assert ([first], 2, 2) == (receiver.seen["a"], *(len(receiver.seen[one]) for one in "bc"))
        # A time after the position of the endpoint skips nothing, and one before all events means all.
        paused = pb2.PauseEndpointRequest(endpoint_id=endpoint.endpoint_id)
        position = (await delivery.stub.PauseEndpoint(paused, metadata=delivery.key)).endpoint.position
        await processor.publish(mail_draft("d"))
        asked.events_from.GetCurrentTime()
        assert 1 == (await delivery.stub.RecoverEndpoint(asked, metadata=delivery.key)).deliveries
        assert position == (await delivery.get(endpoint)).position
        asked.events_from.FromSeconds(0)
        asked.dry_run = True
        assert 4 == (await delivery.stub.RecoverEndpoint(asked, metadata=delivery.key)).deliveries


async def test_a_gone_endpoint_warns_operators_once_and_no_tenant_sees_it(
    processor: Processor, start_delivery: Start, delivery_database: TestDatabase, tls: Tls
) -> None:
    async with receiving() as receiver:

        async def gone(_content: dict[str, Any]) -> int:
            return 410

        receiver.answer = gone
        delivery = await start_delivery()
        endpoint = await delivery.create(receiver.url)
        await processor.publish(mail_draft())
        while not (found := await _warnings(processor)):
            await asyncio.sleep(0.05)

        assert [("endpoint.gone", endpoint.endpoint_id, "", "GONE")] == [
            (one.event_type, one.endpoint_id, one.tenant_id, one.reason) for one in found
        ]
        assert [] == await _warnings(processor, TENANT)

        # A process that is killed after the stream has the warning, and before it forgets it, gives it once more.
        notice = feed_pb2.EndpointNotice(notice_id=new_id(), event=found[0])
        async with mesh_channel(f"127.0.0.1:{processor.server.port}", "processor", tls("delivery")) as channel:
            feed = Feed(EventFeedServiceStub(channel))
            for _ in range(2):
                await feed.publish([notice])
            with pytest.raises(InvalidArgument):
                await feed.publish([feed_pb2.EndpointNotice(notice_id=new_id(), event=event_pb2.EndpointEvent())])
        assert 2 == len(await _warnings(processor))
        async with open_pool(Secret(delivery_database.url), "test", DatabaseLimits(connections=1)) as pool:
            while await pool.fetchval("SELECT count(*) FROM delivery.notices"):
                await asyncio.sleep(0.05)


async def _warnings(processor: Processor, tenants: str = "*") -> list[event_pb2.EndpointEvent]:
    """Returns the warnings that a key reads in the stream."""
    chosen = event_service_pb2.EventFilter(event_types=["endpoint.*"])
    request = event_service_pb2.ListEventsRequest(cursor="earliest", filter=chosen)
    page = await processor.events.ListEvents(request, metadata=processor.key(tenants))
    return [one.endpoint for one in page.events]


async def test_a_queue_is_bounded_and_what_does_not_fit_stays_in_the_stream(
    processor: Processor, start_delivery: Start
) -> None:
    async with receiving() as receiver:
        is_well = asyncio.Event()

        async def refuse(_content: dict[str, Any]) -> int:
            return 200 if is_well.is_set() else 503

        receiver.answer = refuse
        delivery = await start_delivery(waiting=100)
        endpoint = await delivery.create(receiver.url)
        for _ in range(5):
            await processor.publish(*(mail_draft() for _ in range(100)))
        while (await delivery.get(endpoint)).state != pb2.ENDPOINT_STATE_FAILING:
            await asyncio.sleep(0.05)
        assert (await delivery.get(endpoint)).waiting <= 200

        is_well.set()
        await until(lambda: receiver.count >= 500, 120)


async def test_a_cursor_that_is_not_ours_is_refused_by_its_name(processor: Processor, start_delivery: Start) -> None:
    delivery = await start_delivery()
    with pytest.raises(grpc.RpcError) as refused:
        await delivery.stub.CreateEndpoint(
            pb2.CreateEndpointRequest(url="https://receiver.example.com/", cursor="x"), metadata=delivery.key
        )

    assert "CURSOR_INVALID" in str(refused.value.trailing_metadata())


async def test_the_feed_waits_for_an_event_and_serves_delivery_alone(processor: Processor, tls: Tls) -> None:
    address = f"127.0.0.1:{processor.server.port}"
    async with mesh_channel(address, "processor", tls("delivery")) as channel:
        stub = EventFeedServiceStub(channel)
        latest = await stub.ReadFeed(feed_pb2.ReadFeedRequest(cursor="latest"))
        request = feed_pb2.ReadFeedRequest(cursor=latest.next_cursor, wait_seconds=30)
        waiting = asyncio.ensure_future(stub.ReadFeed(request, timeout=60))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        [event_id] = await processor.publish(mail_draft())
        page = await waiting

        assert [event_id] == [event.mail.event_id for event in page.events]
        again = await stub.ReadFeed(feed_pb2.ReadFeedRequest(cursor=page.next_cursor))
        assert ([], page.next_cursor) == (list(again.events), again.next_cursor)
    async with mesh_channel(address, "processor", tls("ingest")) as channel:
        with pytest.raises(MeshError) as refused:
            await EventFeedServiceStub(channel).ReadFeed(feed_pb2.ReadFeedRequest())
    assert "CALLER_NOT_ALLOWED" == refused.value.reason
