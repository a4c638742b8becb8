"""The composition root: builds the objects of Ingest and wires them. Nothing else does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx

from mailmesh.ingest.v1 import dead_letter_service_pb2, inbox_service_pb2, ingest_service_pb2, subscription_service_pb2
from mailmesh.ingest.v1.dead_letter_service_pb2_grpc import add_DeadLetterServiceServicer_to_server
from mailmesh.ingest.v1.inbox_service_pb2_grpc import add_InboxServiceServicer_to_server
from mailmesh.ingest.v1.ingest_service_pb2_grpc import add_IngestServiceServicer_to_server
from mailmesh.ingest.v1.subscription_service_pb2_grpc import add_SubscriptionServiceServicer_to_server
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.ingest.inbox.upkeep import Upkeep
from services.ingest.inbox.writer import GroupWriter, WriterLimits
from services.ingest.migrate import migrations
from services.ingest.servicers.dead_letters import DeadLetterServicer
from services.ingest.servicers.inbox import InboxServicer
from services.ingest.servicers.ingest import IngestServicer
from services.ingest.servicers.subscriptions import SubscriptionServicer
from services.ingest.settings import IngestSettings
from services.ingest.store.acceptance import ArrivalStore
from services.ingest.store.activity import SightingStore
from services.ingest.store.claims import ClaimStore
from services.ingest.store.connections import DedicatedConnection, Pool, ping
from services.ingest.store.dead_letters import DeadLetterStore
from services.ingest.store.inbox_status import StatusStore
from services.ingest.store.leases import LeaseStore
from services.ingest.store.matching import MatchingStore
from services.ingest.store.refusals import EdgeRefusalStore
from services.ingest.store.tenants import TenantStore
from services.ingest.store.upkeep import UpkeepStore
from services.ingest.subscriptions.tenant_follower import TenantFollower
from services.ingest.subscriptions.wiring import Subscriptions, subscriptions
from services.ingest.webhooks.activity import WebhookActivity
from services.ingest.webhooks.edge_refusals import EdgeRefusals
from services.ingest.webhooks.matcher import Matcher
from services.ingest.webhooks.receiver import Receiver
from services.ingest.webhooks.unknown_addresses import UnknownAddressReporter
from services.meshkit.channel import mesh_channel
from services.meshkit.clock import Clock, SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.health import Dependency
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background
from services.meshkit.queue import WakeQueue
from services.meshkit.server import MeshServer, ServerLimits

NAME = "ingest"
PROCESSOR_QUEUE = "processor"
_FLUSH_SECONDS = 5.0
_INQUIRY_SECONDS = 1.0
_FOLLOW_SECONDS = 1.0
_EDGES_SECONDS = 10.0
# The writer's own bounds lie within the time that a webhook may take.
_WRITER_CONNECTIONS = 1
WEBHOOKS = frozenset(
    f"/{ingest_service_pb2.DESCRIPTOR.services_by_name['IngestService'].full_name}/{method.name}"
    for method in ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"].methods
)
RETRY_SAFE = (
    "/mailmesh.vault.v1.TokenVaultService/ListTenantChanges",
    "/mailmesh.vault.v1.TokenVaultService/ReportTenantFault",
)


async def serve(settings: IngestSettings, stop: asyncio.Event) -> None:
    """Serves Ingest until it is told to stop.

    Args:
        settings: What the environment said.
        stop: Set when it should end.

    Raises:
        SchemaError: The schema is not at the revision that this program needs.
        StoreUnavailable: PostgreSQL is away at the start.
    """
    await migrations(settings.database_url).check()
    async with serving(settings):
        await stop.wait()


@asynccontextmanager
async def serving(settings: IngestSettings, clock: Clock | None = None) -> AsyncIterator[MeshServer]:
    """Serves Ingest while the block runs.

    Args:
        settings: What the environment said.
        clock: For tests.

    Yields:
        The server, listening.
    """
    tls = TlsFiles.of(settings)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings.database_url, NAME, _pool_limits(settings)))
        writer_pool = await stack.enter_async_context(
            open_pool(settings.database_url, f"{NAME} writer", _writer_limits(settings))
        )
        wakes = await stack.enter_async_context(WakeQueue.open(settings.redis_url, PROCESSOR_QUEUE))
        vault = await stack.enter_async_context(
            mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=RETRY_SAFE)
        )
        clock = clock or SystemClock()
        stub = TokenVaultServiceAsyncStub(vault)
        kept = await stack.enter_async_context(subscriptions(settings, pool, stub, wakes, clock))
        # Loopback, and no credential: not by way of a proxy.
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        edges = EdgeRefusals(http, settings.edge_admin_urls, EdgeRefusalStore(pool), clock)
        ingest = Ingest(settings, clock, pool, writer_pool, stub, kept, edges, wakes.wake)
        stack.push_async_callback(ingest.writer_connection.drop)
        await ingest.upkeep.keep_partitions()
        server = MeshServer(
            NAME, settings.listen, tls, ServerLimits(concurrent_rpcs=settings.concurrent_rpcs), quiet=WEBHOOKS
        )
        server.depends_on(Dependency("postgres", partial(ping, pool)))
        server.depends_on(Dependency("redis", wakes.ping, is_vital=False))
        ingest.add_to(server)
        async with background(*ingest.loops()), server.running():
            yield server


class Ingest:
    """The objects of Ingest, wired.

    Args:
        settings: What the environment said.
        clock: The time.
        pool: Bounded connections.
        writer_pool: The writer's own connection.
        stub: TokenVault.
        kept: What keeps subscriptions alive.
        edges: Learns what the edge refuses.
        wake: Wakes a worker for a tenant.
    """

    def __init__(
        self,
        settings: IngestSettings,
        clock: Clock,
        pool: Pool,
        writer_pool: Pool,
        stub: TokenVaultServiceAsyncStub,
        kept: Subscriptions,
        edges: EdgeRefusals,
        wake: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._wake = wake
        self._kept = kept
        self._edges = edges
        self._pool = pool
        self.writer_connection = DedicatedConnection(writer_pool)
        arrivals = ArrivalStore(self.writer_connection, pool)
        self.matcher = Matcher(MatchingStore(pool), settings.match_cache_entries, settings.match_cache_seconds)
        self.sightings = WebhookActivity(SightingStore(pool))
        self.inquiry = UnknownAddressReporter(stub, clock)
        self.writer = GroupWriter(arrivals, _limits(settings), self._wake_all)
        self.receiver = Receiver(
            self.matcher,
            self.writer,
            arrivals,
            self.sightings,
            clock,
            on_unknown_address=self.inquiry.want,
            on_lifecycle=kept.lifecycle.nudge,
            seconds=settings.commit_seconds,
        )
        self.leases = LeaseStore(pool)
        self.claims = ClaimStore(pool, settings.lease_deaths)
        self.status = StatusStore(pool)
        self.dead_letters = DeadLetterStore(pool)
        tenants = TenantStore(pool)
        self.follower = TenantFollower(stub, tenants, self._tenants_changed, wake)
        self.upkeep = Upkeep(settings, UpkeepStore(pool), tenants, self.leases, clock)

    def add_to(self, server: MeshServer) -> None:
        """Adds the services."""
        server.add(
            add_IngestServiceServicer_to_server,
            IngestServicer(self.receiver, self._settings.google_pubsub_service_account),
            ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"],
        )
        server.add(
            add_InboxServiceServicer_to_server,
            InboxServicer(self.claims, self.leases, self.status, self._wake),
            inbox_service_pb2.DESCRIPTOR.services_by_name["InboxService"],
        )
        server.add(
            add_DeadLetterServiceServicer_to_server,
            DeadLetterServicer(self.dead_letters, self._wake),
            dead_letter_service_pb2.DESCRIPTOR.services_by_name["DeadLetterService"],
        )

        server.add(
            add_SubscriptionServiceServicer_to_server,
            SubscriptionServicer(self._pool, self._kept.creator),
            subscription_service_pb2.DESCRIPTOR.services_by_name["SubscriptionService"],
        )

    def loops(self) -> Sequence[Coroutine[None, None, None]]:
        """What runs beside the server."""
        return (
            self.writer.run(),
            PeriodicLoop("sightings", _FLUSH_SECONDS, self.sightings.flush).run(),
            PeriodicLoop("edges", _EDGES_SECONDS, self._edges.round).run(),
            PeriodicLoop("addresses", _INQUIRY_SECONDS, self.inquiry.ask).run(),
            PeriodicLoop("tenants", _FOLLOW_SECONDS, self.follower.follow).run(),
            PeriodicLoop("upkeep", self._settings.upkeep_seconds, self.upkeep.round).run(),
            *(loop.run() for loop in self._kept.loops),
        )

    def _wake_all(self, tenant_ids: Sequence[str]) -> None:
        for tenant_id in tenant_ids:
            self._wake(tenant_id)

    def _tenants_changed(self) -> None:
        self.matcher.forget_all()
        self._kept.nudge()


def _limits(settings: IngestSettings) -> WriterLimits:
    return WriterLimits(settings.commit_seconds, settings.buffer_notifications, settings.group_notifications)


def _pool_limits(settings: IngestSettings) -> DatabaseLimits:
    return DatabaseLimits(connections=settings.database_connections)


def _writer_limits(settings: IngestSettings) -> DatabaseLimits:
    seconds = settings.commit_seconds
    return DatabaseLimits(
        connections=_WRITER_CONNECTIONS,
        wait_seconds=seconds,
        statement_seconds=seconds,
        lock_seconds=seconds,
        idle_transaction_seconds=seconds + 3,
    )
