"""Composition of the process: `python -m services.delivery serve`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from mailmesh.delivery.v1 import endpoint_service_pb2
from mailmesh.delivery.v1.endpoint_service_pb2_grpc import add_EndpointServiceServicer_to_server
from mailmesh.processor.v1.event_feed_service_pb2_grpc import EventFeedServiceStub
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.delivery.endpoints.secrets import sealer_of
from services.delivery.endpoints.use_cases import Endpoints
from services.delivery.erasing import erasers
from services.delivery.exporting import EXPORT
from services.delivery.migrate import SCHEMA
from services.delivery.sending.attempt import Attempts
from services.delivery.sending.deliverer import Means
from services.delivery.sending.feed import RETRY_SAFE, Feed
from services.delivery.sending.holder import Holder
from services.delivery.sending.news import News
from services.delivery.sending.notices import Notices
from services.delivery.sending.receivers import Receivers
from services.delivery.sending.retention import Retention
from services.delivery.sending.schedule import Schedule
from services.delivery.sending.slots import Slots
from services.delivery.servicers.endpoints import EndpointServicer
from services.delivery.settings import DeliverySettings
from services.egress.addresses import EgressRules
from services.egress.client import EgressClient
from services.erasures.rows import add_tenant_rows
from services.meshkit import db
from services.meshkit.channel import mesh_channel
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.health import Dependency
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background, observed
from services.meshkit.server import MeshServer
from services.meshkit.settings import SettingsError, load

NAME = "delivery"
_HOLD_SECONDS = 1.0
# Callers of this process wake the loop of endpoints; only leases of a process that died end unseen.
_IDLE_FACTOR = 5.0
_RETENTION_SECONDS = 60.0
_ERASE_SECONDS = 5.0
_ERASE_IDLE_FACTOR = 3.0
_NOTICE_SECONDS = 2.0
_VAULT_RETRY_SAFE = (
    "/mailmesh.vault.v1.TokenVaultService/GetPendingErasures",
    "/mailmesh.vault.v1.TokenVaultService/ConfirmErasure",
)


async def serve(stop: asyncio.Event) -> None:
    """Serve endpoints and deliver events until `stop` is set."""
    settings = load(DeliverySettings)
    async with observed(NAME, settings):
        await SCHEMA.check(settings.database_url)
        await run(settings, stop)


async def run(settings: DeliverySettings, stop: asyncio.Event) -> None:
    """Open everything, serve until `stop` is set, and close everything in reverse order."""
    tls, rules = TlsFiles.of(settings), rules_of(settings)
    async with (
        open_pool(settings.database_url, NAME, DatabaseLimits(settings.connections)) as pool,
        mesh_channel(settings.processor_address, "processor", tls, retry_safe=RETRY_SAFE) as processor,
        mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=_VAULT_RETRY_SAFE) as vault,
        EgressClient.open(rules, authority=settings.receiver_ca) as client,
    ):
        server = MeshServer(NAME, settings.listen, tls)
        server.depends_on(Dependency("postgres", partial(db.ping, pool)))
        add_tenant_rows(server, pool, EXPORT)
        feed = Feed(EventFeedServiceStub(processor))
        stub = TokenVaultServiceAsyncStub(vault)
        tenant_eraser, person_eraser = erasers(stub, pool)
        erasing = PeriodicLoop("erasing", _ERASE_SECONDS, tenant_eraser.round, idle_factor=_ERASE_IDLE_FACTOR)
        persons = PeriodicLoop("erasing-persons", _ERASE_SECONDS, person_eraser.round)
        async with (
            serving(server, settings, pool, feed, client, rules),
            background(erasing.run(), persons.run()),
        ):
            await server.serve(stop)


@asynccontextmanager
async def serving(
    server: MeshServer, settings: DeliverySettings, pool: db.Pool, feed: Feed, client: EgressClient, rules: EgressRules
) -> AsyncIterator[None]:
    """Add Delivery's service to the server, and deliver while the block runs.

    Args:
        server: A server that is not started yet.
        settings: Delivery's settings.
        pool: Connections to PostgreSQL.
        feed: The event stream.
        client: The way out to receivers.
        rules: The operator's rules for addresses.
    """
    clock, schedule = SystemClock(), schedule_of(settings)
    sealer = sealer_of(settings.keys, settings.keys_file)
    attempts = Attempts(Receivers(client, sealer), sealer, feed, schedule, clock)
    means = Means(pool, feed, attempts, schedule, clock, Slots(settings.requests), settings.waiting)
    holder = Holder(means, settings.endpoints_held, timedelta(seconds=settings.lease_seconds))
    holding = PeriodicLoop(
        "endpoints", _HOLD_SECONDS, holder.round, idle_factor=_IDLE_FACTOR, may_idle=lambda: not holder.is_holding
    )
    endpoints = Endpoints(pool, sealer, feed, settings.endpoints, holding.wake, clock)
    server.add(
        add_EndpointServiceServicer_to_server,
        EndpointServicer(endpoints, attempts, rules),
        endpoint_service_pb2.DESCRIPTOR.services_by_name["EndpointService"],
    )
    retention = PeriodicLoop("retention", _RETENTION_SECONDS, Retention(pool, settings.retention_days, clock).round)
    notices = PeriodicLoop("notices", _NOTICE_SECONDS, Notices(pool, feed).round)
    async with background(holding.run(), News(feed, holder).run(), retention.run(), notices.run()):
        try:
            yield
        finally:
            await holder.stop(settings.grace_seconds)


def rules_of(settings: DeliverySettings) -> EgressRules:
    """Read the operator's rules for addresses.

    Raises:
        SettingsError: A network or a port is malformed.
    """
    try:
        ports = tuple(int(port) for port in settings.allowed_ports)
        return EgressRules.read(settings.allowed_networks, settings.refused_networks, ports)
    except ValueError as exc:
        raise SettingsError(
            [f"MAILMESH_DELIVERY_ALLOWED_NETWORKS, _REFUSED_NETWORKS or _ALLOWED_PORTS: {exc}."]
        ) from exc


def schedule_of(settings: DeliverySettings) -> Schedule:
    """Return the times of attempts."""
    return Schedule(
        tuple(timedelta(seconds=float(seconds)) for seconds in settings.retry_seconds),
        timedelta(seconds=settings.failing_pause_seconds),
        timedelta(seconds=settings.retry_after_seconds),
        timedelta(seconds=settings.disable_after_seconds),
    )
