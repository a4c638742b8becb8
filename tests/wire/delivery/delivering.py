"""Delivery beside Processor on real servers and databases, and receivers of webhooks, for tests."""

import base64
import json
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import BasicAuth, web

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from mailmesh.delivery.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from mailmesh.processor.v1.event_feed_service_pb2_grpc import EventFeedServiceStub
from services.delivery import server as delivery_server
from services.delivery.sending.feed import RETRY_SAFE, Feed
from services.delivery.settings import DeliverySettings
from services.egress.client import EgressClient
from services.meshkit.channel import mesh_channel
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.secret import Secret
from services.meshkit.server import MeshServer, ServerLimits
from services.meshkit.settings import load
from tests.programs.postgres import TestDatabase
from tests.wire.processor.stream.conftest import (
    Processor,
    edge_channel,
)

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
