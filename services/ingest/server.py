"""The composition root: builds the objects of Ingest and serves them. No other module builds them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from mailmesh.ingest.v1 import dead_letter_service_pb2, inbox_service_pb2, ingest_service_pb2, subscription_service_pb2
from mailmesh.ingest.v1.dead_letter_service_pb2_grpc import add_DeadLetterServiceServicer_to_server
from mailmesh.ingest.v1.inbox_service_pb2_grpc import add_InboxServiceServicer_to_server
from mailmesh.ingest.v1.ingest_service_pb2_grpc import add_IngestServiceServicer_to_server
from mailmesh.ingest.v1.subscription_service_pb2_grpc import add_SubscriptionServiceServicer_to_server
from services.erasures.rows import add_tenant_rows
from services.ingest.erasing import erasers
from services.ingest.exporting import EXPORT
from services.ingest.inbox.gauges import InboxGauges
from services.ingest.inbox.upkeep import Upkeep
from services.ingest.inbox.writer import GroupWriter, WriterLimits
from services.ingest.links import NAME, Links, open_links, trust
from services.ingest.migrate import SCHEMA
from services.ingest.pulling.puller import Puller
from services.ingest.pulling.service_account import ServiceAccountTokens
from services.ingest.pulling.subscription import PullSubscription
from services.ingest.resource_data.accepted import ResourceData, resource_data_of
from services.ingest.servicers.dead_letters import DeadLetterServicer
from services.ingest.servicers.inbox import InboxServicer
from services.ingest.servicers.ingest import IngestServicer
from services.ingest.servicers.subscriptions import SubscriptionServicer
from services.ingest.settings import IngestSettings
from services.ingest.store.items import accept_items
from services.ingest.subscriptions import google, microsoft
from services.ingest.subscriptions.calendar_steps import CalendarSteps
from services.ingest.subscriptions.channels import GoogleChannels
from services.ingest.subscriptions.graph_calendars import GraphCalendarSubscriptions
from services.ingest.subscriptions.lifecycle import LifecycleWorker
from services.ingest.subscriptions.monitors import AddressMonitor, ReleaseMonitor, SilenceMonitor, SubscriptionGauges
from services.ingest.subscriptions.provider_calls import ProviderCalls, TokenBorrower
from services.ingest.subscriptions.reconciler import PROVIDERS, SubscriptionReconciler
from services.ingest.subscriptions.steps import Steps
from services.ingest.subscriptions.tenant_follower import TenantStates, tenant_follower
from services.ingest.subscriptions.token_vault import FaultReporter, ReleaseConfirmer
from services.ingest.subscriptions.use_cases import SubscriptionUseCases
from services.ingest.webhooks.activity import WebhookActivity
from services.ingest.webhooks.edge_refusals import EdgeRefusals
from services.ingest.webhooks.gmail_receiver import GmailReceiver
from services.ingest.webhooks.matcher import Matcher
from services.ingest.webhooks.receiver import Receiver
from services.ingest.webhooks.unknown_addresses import UnknownAddressReporter
from services.meshkit import db
from services.meshkit.clock import Clock, SystemClock
from services.meshkit.health import Dependency
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.ids import new_id
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background
from services.meshkit.queue import WakeQueue
from services.meshkit.server import MeshServer, ServerLimits
from services.providers.abilities import CALENDAR_READ

_ACTIVITY_SECONDS = 5.0
_ADDRESSES_SECONDS = 1.0
_ERASE_SECONDS = 5.0
_PULL_PAUSE_SECONDS = 1.0
_TENANTS_SECONDS = 1.0
_EDGES_SECONDS = 10.0
_SILENCE_SECONDS = 60.0
# New work in this process wakes its loops at once; only due times and the work of other processes wait.
_IDLE_FACTOR = 5.0
_MONITOR_SECONDS = 30.0
WEBHOOKS = frozenset(
    f"/{ingest_service_pb2.DESCRIPTOR.services_by_name['IngestService'].full_name}/{method.name}"
    for method in ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"].methods
)
# The calls of each event; metrics count them, and their failures are logged.
_PER_EVENT = frozenset(f"/mailmesh.ingest.v1.InboxService/{method}" for method in ("ClaimItems", "AckItems"))


@dataclass(frozen=True)
class Ingest:
    """The use cases of Ingest.

    Attributes:
        pool: Connections to PostgreSQL.
        wakes: The queue that wakes Processor's workers.
        receiver: Receives webhooks.
        subscriptions: The use cases of SubscriptionService.
        on_followed: Called when the steps of calendars' subscriptions are due.
        loops: To be run in the background while Ingest serves.
        puller: Pulls Gmail's notifications; None where nothing is pulled.
    """

    pool: db.Pool
    wakes: WakeQueue
    receiver: Receiver
    subscriptions: SubscriptionUseCases
    on_followed: Callable[[], None]
    loops: Sequence[Callable[[], Coroutine[None, None, None]]]
    puller: Puller | None = None


async def serve(settings: IngestSettings, stop: asyncio.Event) -> None:
    """Serve Ingest until `stop` is set.

    Args:
        settings: The settings of this process.
        stop: Set when the process should end.

    Raises:
        SchemaError: The schema is not at the revision that this program needs.
        StoreUnavailable: PostgreSQL is away at the start.
    """
    await SCHEMA.check(settings.database_url)
    async with serving(settings):
        await stop.wait()


@asynccontextmanager
async def serving(settings: IngestSettings, clock: Clock | None = None) -> AsyncIterator[MeshServer]:
    """Serve Ingest while the block runs.

    Args:
        settings: The settings of this process.
        clock: For tests.

    Yields:
        The server, listening.
    """
    clock = clock or SystemClock()
    async with open_ingest(settings, clock) as ingest:
        limits = ServerLimits(concurrent_rpcs=settings.concurrent_rpcs)
        server = MeshServer(NAME, settings.listen, TlsFiles.of(settings), limits, quiet=WEBHOOKS | _PER_EVENT)
        server.depends_on(Dependency("postgres", partial(db.ping, ingest.pool)))
        server.depends_on(Dependency("redis", ingest.wakes.ping, is_vital=False))
        _add_servicers(server, settings, ingest, clock)
        async with background(*(run() for run in ingest.loops)), server.running():
            yield server


def _add_servicers(server: MeshServer, settings: IngestSettings, ingest: Ingest, clock: Clock) -> None:
    pool, wake = ingest.pool, ingest.wakes.wake
    add_tenant_rows(server, pool, EXPORT)
    server.add(
        add_IngestServiceServicer_to_server,
        IngestServicer(ingest.receiver, settings.google_pubsub_service_account),
        ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"],
    )
    server.add(
        add_InboxServiceServicer_to_server,
        InboxServicer(pool, settings.lease_deaths, wake, ingest.on_followed, clock),
        inbox_service_pb2.DESCRIPTOR.services_by_name["InboxService"],
    )
    server.add(
        add_DeadLetterServiceServicer_to_server,
        DeadLetterServicer(pool, wake),
        dead_letter_service_pb2.DESCRIPTOR.services_by_name["DeadLetterService"],
    )
    server.add(
        add_SubscriptionServiceServicer_to_server,
        SubscriptionServicer(pool, ingest.subscriptions, clock),
        subscription_service_pb2.DESCRIPTOR.services_by_name["SubscriptionService"],
    )


@asynccontextmanager
async def open_ingest(settings: IngestSettings, clock: Clock) -> AsyncIterator[Ingest]:
    """Open the connections of Ingest and build its use cases; close everything in reverse order.

    Args:
        settings: The settings of this process.
        clock: The time.

    Yields:
        The use cases. The caller runs their loops.
    """
    async with open_links(settings) as links, aclosing(_writer(settings, links)) as writer:
        data = resource_data_of(settings, links.pool, links.provider_http, clock)
        async with aclosing(_reconciler(settings, clock, links, data)) as reconciler:
            upkeep = Upkeep(settings, links.pool, clock)
            await upkeep.keep_partitions()
            ingest = _ingest(settings, clock, links, writer, reconciler, upkeep, data)
            async with aclosing(ingest.puller) if ingest.puller else nullcontext():
                yield ingest


def _reconciler(
    settings: IngestSettings, clock: Clock, links: Links, data: ResourceData | None
) -> SubscriptionReconciler:
    tokens = TokenBorrower(links.vault.IssueToken)
    graph_calls = ProviderCalls(microsoft.PROVIDER, links.provider_http, tokens)
    gmail_calls = ProviderCalls(google.PROVIDER, links.provider_http, tokens)
    steps = Steps(
        links.pool,
        microsoft.GraphSubscriptions(graph_calls, settings.graph_url, settings.public_url),
        google.GmailWatches(gmail_calls, settings.gmail_url, settings.pubsub_topic),
        _calendar_steps(settings, clock, links, tokens),
        tokens,
        links.wakes.wake,
        clock,
        data.certificates if data else None,
    )
    faults = FaultReporter(links.vault.ReportTenantFault)
    return SubscriptionReconciler(links.pool, steps, faults, f"{NAME}-{new_id()}", clock)


def _calendar_steps(settings: IngestSettings, clock: Clock, links: Links, tokens: TokenBorrower) -> CalendarSteps:
    def calls(provider: str) -> ProviderCalls:
        return ProviderCalls(provider, links.provider_http, tokens, CALENDAR_READ)

    graph = microsoft.GraphSubscriptions(calls(microsoft.PROVIDER), settings.graph_url, settings.public_url)
    channels = GoogleChannels(calls(google.PROVIDER), settings.google_calendar_url, settings.public_url)
    return CalendarSteps(links.pool, GraphCalendarSubscriptions(links.pool, graph, tokens, clock), channels, clock)


def _ingest(
    settings: IngestSettings,
    clock: Clock,
    links: Links,
    writer: GroupWriter,
    reconciler: SubscriptionReconciler,
    upkeep: Upkeep,
    data: ResourceData | None,
) -> Ingest:
    pool, wake, vault = links.pool, links.wakes.wake, links.vault
    steps = {
        provider: PeriodicLoop(
            f"subscriptions {provider}",
            settings.subscription_seconds,
            partial(reconciler.round, provider),
            idle_factor=_IDLE_FACTOR,
        )
        for provider in PROVIDERS
    }
    # Only Microsoft sends lifecycle notifications, and pushes to URLs of our own.
    lifecycle_worker = LifecycleWorker(pool, clock, wake, steps[microsoft.PROVIDER].wake)
    lifecycle = PeriodicLoop(
        "lifecycle", settings.subscription_seconds, lifecycle_worker.round, idle_factor=_IDLE_FACTOR
    )
    matcher = Matcher(pool, settings.match_cache_entries, settings.match_cache_seconds)
    activity, addresses = WebhookActivity(pool), UnknownAddressReporter(vault, clock)
    gmail = GmailReceiver(matcher, writer, activity, clock, addresses.note)
    receiver = Receiver(
        matcher,
        writer,
        pool,
        activity,
        clock,
        gmail=gmail,
        on_lifecycle=lifecycle.wake,
        seconds=settings.commit_seconds,
        data=data.checks if data else None,
    )
    tenant_eraser, person_eraser = erasers(vault, pool)
    erasing = PeriodicLoop("erasing", _ERASE_SECONDS, tenant_eraser.round, idle_factor=_IDLE_FACTOR)
    states = TenantStates(pool, partial(_tenants_changed, matcher, (*steps.values(), erasing)), wake)
    follower = tenant_follower(vault, states)
    puller = _puller(settings, clock, links, gmail)
    edges = EdgeRefusals(links.edge_http, settings.edge_admin_urls, pool, clock)
    loops = (
        PeriodicLoop("activity", _ACTIVITY_SECONDS, activity.flush),
        PeriodicLoop("edges", _EDGES_SECONDS, edges.round),
        PeriodicLoop("addresses", _ADDRESSES_SECONDS, addresses.round),
        PeriodicLoop("tenants", _TENANTS_SECONDS, follower.round),
        PeriodicLoop("upkeep", settings.upkeep_seconds, upkeep.round),
        erasing,
        PeriodicLoop("erasing-persons", _ERASE_SECONDS, person_eraser.round),
        *steps.values(),
        lifecycle,
        *([PeriodicLoop("pulls", _PULL_PAUSE_SECONDS, puller.round)] if puller else []),
        *([PeriodicLoop("certificates", _MONITOR_SECONDS, data.certificates.round)] if data else []),
        *_monitors(settings, clock, links, partial(_wake_all, tuple(steps.values()))),
    )
    borrower, pushing = TokenBorrower(vault.IssueToken), _pushing(settings)
    use_cases = SubscriptionUseCases(pool, reconciler, borrower, clock, pushing, accepts_resource_data=data is not None)
    on_followed = partial(_wake_all, tuple(steps.values()))
    return Ingest(pool, links.wakes, receiver, use_cases, on_followed, tuple(loop.run for loop in loops), puller)


def _puller(settings: IngestSettings, clock: Clock, links: Links, gmail: GmailReceiver) -> Puller | None:
    if not settings.pubsub_subscription:
        return None
    tokens = ServiceAccountTokens(settings.pubsub_key, trust(settings))
    return Puller(
        links.pool,
        PullSubscription(links.provider_http, tokens, settings.pubsub_url, settings.pubsub_subscription),
        gmail,
        clock,
        name=settings.pubsub_subscription,
        holder=f"{NAME}-{new_id()}",
        most=settings.pull_messages,
        wait_seconds=settings.pull_seconds,
    )


def _writer(settings: IngestSettings, links: Links) -> GroupWriter:
    limits = WriterLimits(settings.commit_seconds, settings.buffer_notifications, settings.group_notifications)

    def wake_all(tenant_ids: Sequence[str]) -> None:
        for tenant_id in tenant_ids:
            links.wakes.wake(tenant_id)

    return GroupWriter(partial(accept_items, links.writer), limits, wake_all)


def _monitors(
    settings: IngestSettings, clock: Clock, links: Links, wake_steps: Callable[[], None]
) -> Sequence[PeriodicLoop]:
    quiet = timedelta(minutes=settings.silence_minutes)
    address = AddressMonitor(links.pool, settings.public_url, wake_steps, clock)
    quiet_calendar = timedelta(minutes=settings.calendar_silence_minutes)
    silence = SilenceMonitor(links.pool, quiet, quiet_calendar, clock, links.wakes.wake)
    releases = ReleaseMonitor(links.pool, ReleaseConfirmer(links.vault.ConfirmTenantRelease))
    return (
        PeriodicLoop("address", _MONITOR_SECONDS, address.round),
        PeriodicLoop("silence", _SILENCE_SECONDS, silence.round),
        PeriodicLoop("counts", _MONITOR_SECONDS, SubscriptionGauges(links.pool, clock).round),
        PeriodicLoop("backlog", _MONITOR_SECONDS, InboxGauges(links.pool).round),
        PeriodicLoop("releases", settings.subscription_seconds, releases.round, idle_factor=_IDLE_FACTOR),
    )


def _tenants_changed(matcher: Matcher, loops: Sequence[PeriodicLoop]) -> None:
    """Apply a change of tenants at once: to the matching of webhooks, and to the steps of subscriptions."""
    matcher.forget_all()
    _wake_all(loops)


def _wake_all(loops: Sequence[PeriodicLoop]) -> None:
    for loop in loops:
        loop.wake()


def _pushing(settings: IngestSettings) -> frozenset[str]:
    """Return the providers whose notifications reach this installation.

    Microsoft needs the public URL. Google needs a topic, and either the public URL or a subscription to pull from.
    """
    is_reached = bool(settings.public_url)
    has_topic = bool(settings.pubsub_topic) and (is_reached or bool(settings.pubsub_subscription))
    return frozenset(({microsoft.PROVIDER} if is_reached else set()) | ({google.PROVIDER} if has_topic else set()))
