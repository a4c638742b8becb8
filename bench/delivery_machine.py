"""Real programs for measuring Delivery: PostgreSQL, Redis, Processor, Delivery, receivers, and the plain design."""

import asyncio
import base64
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from arq.connections import RedisSettings, create_pool
from orjson import dumps, loads

from bench import plain_sender
from bench.event_store import draft
from bench.ingest_machine import _listens as listens
from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from mailmesh.delivery.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from services.meshkit.channel import mesh_channel
from services.meshkit.errors import ServiceUnavailable
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.ids import new_id
from services.processor.stream.publish import publish
from services.processor.stream.serialization import split
from services.processor.stream.store.retention import make_partition
from stack.certificates import MeshCertificates
from stack.ports import LOOPBACK, free_ports
from stack.programs.postgres import PostgresServer
from stack.programs.program import Program
from stack.programs.redis import RedisServer
from stack.programs.roles import create_database, prepare_database, prepare_roles, with_database, with_role
from stack.programs.running import RunningProgram, run_to_end

SERVICES = ("processor", "delivery")
TENANT = "019a9f0e-0000-7000-8000-000000000001"
KEY = tuple(
    (f"x-mailmesh-{name}", value)
    for name, value in {"key-id": "bench", "role": "operator", "tenants": "*", "abilities": "mail.read"}.items()
)
# Event n is of message n % messages: those of one message lie far apart, as in life. Ids grow with the position.
_FILL = """
    INSERT INTO processor.events (position, event_id, tenant_id, provider, event_type, kind, received_at,
        basic_size, body_size, raw_size, basic, body, raw)
    SELECT $1::bigint + n, (lpad(to_hex(($1 + n) / 1000), 12, '0') || '7000800' || lpad(to_hex(n), 13, '0'))::uuid, $2,
        'ms365', 'mail.created', 1, to_timestamp(($1 + n) / 1000000.0), length(($3::bytea[])[n % $4 + 1]), 2000, 2000,
        ($3::bytea[])[n % $4 + 1], $5, $6
    FROM generate_series($7::bigint, $8::bigint) AS n
"""
_BATCH = 20_000
_CONNECT_SECONDS = 10.0
_TEXT = "The pallets come on Monday at seven, please keep the gate open. " * 8


@dataclass
class DeliveryMachine:
    """The running programs.

    Attributes:
        folder: The folder for logs.
        urls: The database's addresses by service.
        redis: Redis.
        sink_url: The address of the receivers, each path one of them.
        environment: The variables of both services.
        ports: Where the services listen.
        stub: Delivery's service.
    """

    folder: Path
    urls: dict[str, str]
    redis: RedisServer
    sink_url: str
    environment: dict[str, str]
    ports: dict[str, int]
    stub: Any

    @contextmanager
    def delivery(self) -> Iterator[psutil.Process]:
        """Run Delivery during the block; yield its process."""
        with self.running(self.program("delivery", "serve", self.ports["delivery"])) as process:
            yield process

    @contextmanager
    def plain(self) -> Iterator[psutil.Process]:
        """Run the plain design during the block; yield its process."""
        environment = {
            "MAILMESH_DATABASE_URL": self.urls["delivery"],
            "MAILMESH_REDIS_URL": self.redis.url(),
            "PLAIN_KEY": "whsec_" + base64.b64encode(os.urandom(32)).decode(),
        }
        command = (sys.executable, "-m", "bench.plain_sender")
        with self.running(Program("plain", command, lambda: True, environment)) as process:
            yield process

    async def fill(self, count: int, messages: int) -> None:
        """Put events into the stream: so many, of so many messages, as if they had just come."""
        payloads, sample = [], draft(TENANT, _TEXT).mail
        assert sample is not None
        for number in range(messages):
            sample.message_id = f"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A{number:08}"
            payloads.append(split(sample))
        first = payloads[0]
        connection = await asyncpg.connect(self.urls["processor"])
        try:
            for day in range(-1, 2):
                await make_partition(connection, datetime.now(UTC).date() + timedelta(days=day))
            head = await connection.fetchval("SELECT max(head) FROM processor.stream")
            start = max(int(time.time() * 1_000_000) - count, head + 1)
            basics = [one.basic for one in payloads]
            for begin in range(0, count, _BATCH):
                end = min(begin + _BATCH, count) - 1
                await connection.execute(
                    _FILL, start, TENANT, basics, messages, first.body, first.raw, begin, end, timeout=300
                )
            await connection.execute(
                "UPDATE processor.stream SET head = last.position, head_event_id = last.event_id FROM"
                " (SELECT position, event_id FROM processor.events ORDER BY position DESC LIMIT 1) AS last WHERE id = 1"
            )
            await connection.execute("ANALYZE processor.events")
        finally:
            await connection.close()

    async def publish(self, per_second: int, seconds: float) -> int:
        """Publish events one by one at a rate; return their number."""
        connection = await asyncpg.connect(self.urls["processor"])
        began, published = time.monotonic(), 0
        try:
            while time.monotonic() - began < seconds:
                async with connection.transaction():
                    await publish(connection, [draft(TENANT, _TEXT)])
                published += 1
                await asyncio.sleep(max(0.0, began + published / per_second - time.monotonic()))
        finally:
            await connection.close()
        return published

    async def endpoints(self, count: int, cursor: str, path: str = "/hooks", **fields: Any) -> list[str]:
        """Create endpoints; return their ids."""
        made = []
        for number in range(count):
            request = pb2.CreateEndpointRequest(url=f"{self.sink_url}{path}/{number}", cursor=cursor, **fields)
            made.append(await self._create(request))
        return made

    async def _create(self, request: pb2.CreateEndpointRequest) -> str:
        """Create an endpoint. The channel finds a process that has just started within a second."""
        ends_at = time.monotonic() + _CONNECT_SECONDS
        while True:
            try:
                made: pb2.CreateEndpointResponse = await self.stub.CreateEndpoint(request, metadata=KEY)
            except ServiceUnavailable:
                if time.monotonic() > ends_at:
                    raise
                await asyncio.sleep(0.05)
            else:
                return made.endpoint.endpoint_id

    async def delete(self, endpoint_ids: Sequence[str]) -> None:
        """Delete endpoints."""
        for endpoint_id in endpoint_ids:
            await self.stub.DeleteEndpoint(pb2.DeleteEndpointRequest(endpoint_id=endpoint_id), metadata=KEY)

    async def enqueue(self, events: Sequence[tuple[str, str]], endpoints: int) -> None:
        """Give the plain design its jobs: each event for each endpoint."""
        async with asyncpg.create_pool(self.urls["delivery"], min_size=1, max_size=1) as pool:
            await pool.execute(plain_sender.TABLE)
            await pool.execute("TRUNCATE delivery.plain_deliveries")
        redis = await create_pool(
            RedisSettings.from_dsn(self.redis.url()),
            job_serializer=dumps,
            job_deserializer=loads,
            default_queue_name=plain_sender.QUEUE,
        )
        for number, (event_id, message_id) in enumerate(events):
            data = {"eventId": event_id, "messageId": message_id, "href": f"/v1/events/{event_id}"}
            endpoint = number % endpoints
            await redis.enqueue_job("send", endpoint, f"{self.sink_url}/hooks/{endpoint}", event_id, data)
        await redis.aclose()

    async def arrived(self, count: int, patience_seconds: float) -> None:
        """Wait until the receivers got so many webhooks."""
        async with asyncio.timeout(patience_seconds), httpx.AsyncClient(trust_env=False) as client:
            while (await client.get(f"{self.sink_url}/count")).json() < count:
                await asyncio.sleep(0.1)

    async def arrivals(self) -> dict[str, list[Any]]:
        """Return what the receivers got: `ids`, `seconds` since the event, and the time `at`; and forget it."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            found: dict[str, list[Any]] = (await client.get(f"{self.sink_url}/arrivals")).json()
        return found

    def program(self, service: str, command: str, port: int) -> Program:
        """Return a process of a service."""
        own = {"MAILMESH_DATABASE_URL": self.urls[service], "MAILMESH_LISTEN": f"{LOOPBACK}:{port}"}
        return Program(
            name=f"{service}-{command}",
            command=(sys.executable, "-m", f"services.{service}", command),
            is_ready=lambda: command != "serve" or listens(port),
            environment=self.environment | own | identity_of(self.folder, service),
        )

    @contextmanager
    def running(self, program: Program) -> Iterator[psutil.Process]:
        """Run a program during the block; yield its process."""
        running = RunningProgram(program, self.folder / f"{program.name}.log")
        try:
            running.wait_until_ready()
            process = psutil.Process(running.pid)
            yield next(iter(process.children()), process)
        finally:
            running.stop()


@asynccontextmanager
async def delivery_machine() -> AsyncIterator[DeliveryMachine]:
    """Start everything but Delivery and the plain design; end it after the block."""
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    folder.chmod(0o711)
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        urls = await _databases(stack, folder)
        redis = RedisServer.prepare(folder / "redis", free_ports(1)[0])
        sink, delivery, processor, absent = free_ports(4)
        ports = {"delivery": delivery, "processor": processor}
        environment = {
            "MAILMESH_LOG_LEVEL": "warning",
            "MAILMESH_REDIS_URL": redis.url(),
            "MAILMESH_DELIVERY_KEYS": f"one:{base64.b64encode(os.urandom(32)).decode()}",
            "MAILMESH_DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8",
            "MAILMESH_DELIVERY_ENDPOINTS": "2000",
            "MAILMESH_PROCESSOR_ADDRESS": f"{LOOPBACK}:{processor}",
            **{f"MAILMESH_{name}_ADDRESS": f"{LOOPBACK}:{absent}" for name in ("TOKEN_VAULT", "INGEST", "DELIVERY")},
        }
        MeshCertificates(folder / "certificates").ensure()
        tls = TlsFiles(**{name: Path(path) for name, path in _tls_of(folder, "envoy").items()})
        channel = await stack.enter_async_context(mesh_channel(f"{LOOPBACK}:{delivery}", "delivery", tls))
        made = DeliveryMachine(
            folder, urls, redis, f"http://{LOOPBACK}:{sink}", environment, ports, EndpointServiceStub(channel)
        )
        for service in SERVICES:
            run_to_end(made.program(service, "migrate", 0), folder / f"{service}-migrate.log", 120)
        receiver = Program("sink", (sys.executable, "-m", "bench.webhook_sink", str(sink)), lambda: listens(sink), {})
        for program in (redis.program(), receiver, made.program("processor", "serve", processor)):
            stack.enter_context(made.running(program))
        yield made


def identity_of(folder: Path, service: str) -> dict[str, str]:
    """Return the variables that name a service's certificate."""
    found = _tls_of(folder, service)
    return {
        "MAILMESH_TLS_CERT": found["certificate"],
        "MAILMESH_TLS_KEY": found["key"],
        "MAILMESH_TLS_CA": found["authority"],
    }


def _tls_of(folder: Path, service: str) -> dict[str, str]:
    identity = MeshCertificates(folder / "certificates").identity(service)
    return {name: str(getattr(identity, name)) for name in ("certificate", "key", "authority")}


async def _databases(stack: AsyncExitStack, folder: Path) -> dict[str, str]:
    server = PostgresServer(folder / "pg", folder, folder / "password")
    server.initialize()
    running = RunningProgram(server.program(), folder / "postgres.log")
    stack.callback(running.stop)
    running.wait_until_ready()
    passwords = {service: secrets.token_urlsafe(16) for service in SERVICES}
    await prepare_roles(server.url(), passwords)
    await create_database(server.url(), "mailmesh")
    admin_url = with_database(server.url(), "mailmesh")
    await prepare_database(admin_url, [*SERVICES])
    return {service: with_role(admin_url, f"mailmesh_{service}", word) for service, word in passwords.items()}


def new_events(count: int, messages: int) -> list[tuple[str, str]]:
    """Return ids of events and of their messages, for the plain design."""
    return [(new_id(), f"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A{number % messages:08}") for number in range(count)]
