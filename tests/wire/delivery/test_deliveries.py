"""Delivery beside Processor on real servers, databases and receivers: several processes, stalls, and full queues."""

import asyncio
import base64
import json
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest
from aiohttp import BasicAuth, web
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from mailmesh.delivery.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from mailmesh.processor.v1 import event_feed_service_pb2 as feed_pb2
from mailmesh.processor.v1 import event_pb2, event_service_pb2
from mailmesh.processor.v1.event_feed_service_pb2_grpc import EventFeedServiceStub
from services.delivery import server as delivery_server
from services.delivery.egress.client import EgressClient
from services.delivery.sending.feed import RETRY_SAFE, Feed
from services.delivery.settings import DeliverySettings
from services.meshkit.channel import mesh_channel
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.errors import InvalidArgument, MeshError
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.meshkit.server import MeshServer, ServerLimits
from services.meshkit.settings import load
from tests.programs.postgres import TestDatabase
from tests.store.processor.stream.conftest import (
    OTHER_TENANT,
    TENANT,
    calendar_draft,
    conversation_draft,
    mail_draft,
)
from tests.wire.processor.stream.conftest import (
    Processor,
    edge_channel,
    processor,
    start_processor,
    tls,
    until,
)

__all__ = ["processor", "start_processor", "tls"]
pytestmark = pytest.mark.timeout(300)
Tls = Callable[[str], TlsFiles]


@dataclass
class Receiver:
    """Takes webhooks on a real socket, and can stall or refuse.

    Attributes:
        url: Its address.
        seen: The event ids by message, in the order of their acceptance.
        latencies: Seconds from the event's `timestamp` to its arrival.
        authorizations: The headers `authorization` of accepted webhooks; empty without one.
        answer: Decides the status; it may wait.
    """

    url: str = ""
    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    latencies: list[float] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Awaitable[int]] | None = None

    @property
    def count(self) -> int:
        """The number of accepted webhooks."""
        return sum(map(len, self.seen.values()))

    async def take(self, request: web.Request) -> web.Response:
        """Take one webhook."""
        content = json.loads(await request.read())
        status = 200 if self.answer is None else await self.answer(content)
        if status == 200:
            self.authorizations.append(request.headers.get("authorization", ""))
            self.seen[content["data"].get("messageId", "")].append(request.headers["webhook-id"])
            self.latencies.append(time.time() - float(request.headers["webhook-timestamp"]))
        return web.Response(status=status)

    async def give_token(self, request: web.Request) -> web.Response:
        """Give a token that names the client and its secret."""
        client = BasicAuth.decode(request.headers["authorization"])
        return web.json_response({"access_token": f"{client.password}-of-{client.login}", "token_type": "Bearer"})


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on loopback."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hooks", receiver.take)
    app.router.add_post("/token", receiver.give_token)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class Delivery:
    """One process of Delivery, as the edge reaches it."""

    stub: Any
    key: tuple[tuple[str, str], ...]
    stop: Callable[[], Any]

    async def create(self, url: str, **fields: Any) -> pb2.Endpoint:
        """Create an endpoint from the beginning of the stream."""
        request = pb2.CreateEndpointRequest(url=url, cursor="earliest", **fields)
        return (await self.stub.CreateEndpoint(request, metadata=self.key)).endpoint

    async def get(self, endpoint: pb2.Endpoint) -> pb2.Endpoint:
        """Read an endpoint."""
        request = pb2.GetEndpointRequest(endpoint_id=endpoint.endpoint_id)
        return (await self.stub.GetEndpoint(request, metadata=self.key)).endpoint


Start = Callable[..., Awaitable[Delivery]]
KEYS = f"one:{base64.b64encode(os.urandom(32)).decode()}"


@pytest.fixture
async def start_delivery(processor: Processor, delivery_database: TestDatabase, tls: Tls) -> AsyncIterator[Start]:
    """Start processes of Delivery over one database: `await start_delivery(waiting=100)`."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Delivery:
            running = _running(delivery_database, processor.server.port, tls, settings)
            return await stack.enter_async_context(running)

        yield start


@asynccontextmanager
async def _running(
    database: TestDatabase, processor_port: int, tls: Tls, given: dict[str, Any]
) -> AsyncIterator[Delivery]:
    own = tls("delivery")
    settings = load(
        DeliverySettings,
        database_url=database.url,
        listen="127.0.0.1:0",
        keys=Secret(KEYS),
        allowed_networks=("127.0.0.0/8",),
        tls_cert=own.certificate,
        tls_key=own.key,
        tls_ca=own.authority,
        **{"retry_seconds": ("0.2",) * 100, "failing_pause_seconds": 0.5, **given},
    )
    rules = delivery_server.rules_of(settings)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(settings.database_url, "delivery", DatabaseLimits(connections=8))
        )
        channel = await stack.enter_async_context(
            mesh_channel(f"127.0.0.1:{processor_port}", "processor", own, retry_safe=RETRY_SAFE)
        )
        client = await stack.enter_async_context(EgressClient.open(rules))
        server = MeshServer("delivery", settings.listen, own, ServerLimits(grace_seconds=0.1))
        feed = Feed(EventFeedServiceStub(channel))
        running = await stack.enter_async_context(AsyncExitStack())
        await running.enter_async_context(delivery_server.serving(server, settings, pool, feed, client, rules))
        await running.enter_async_context(server.running())
        edge = await stack.enter_async_context(edge_channel(server.port, tls("envoy"), "delivery"))
        headers = {"key-id": "key-1", "role": "operator", "tenants": "*", "abilities": "mail.read"}
        key = tuple((f"x-mailmesh-{name}", value) for name, value in headers.items())
        yield Delivery(EndpointServiceStub(edge), key, running.aclose)


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
