"""Builds what keeps subscriptions alive. Called by the composition root and by nothing else."""

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import httpx

from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.ingest.settings import IngestSettings
from services.ingest.store.connections import Pool
from services.ingest.subscriptions import google, microsoft
from services.ingest.subscriptions.inbox_items import InboxWriter
from services.ingest.subscriptions.lifecycle import LifecycleWorker
from services.ingest.subscriptions.monitors import AddressMonitor, ReleaseMonitor, SilenceMonitor, SubscriptionGauges
from services.ingest.subscriptions.provider_calls import ProviderCalls, TokenBorrower
from services.ingest.subscriptions.reconciler import PROVIDERS, SubscriptionReconciler
from services.ingest.subscriptions.steps import Steps
from services.ingest.subscriptions.token_vault import FaultReporter, ReleaseConfirmer
from services.ingest.subscriptions.use_cases import SubscriptionUseCases
from services.meshkit.clock import Clock
from services.meshkit.ids import new_id
from services.meshkit.loops import PeriodicLoop
from services.meshkit.queue import WakeQueue

CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=16)
SILENCE_ROUND_SECONDS = 60.0
COUNT_ROUND_SECONDS = 30.0


@dataclass(frozen=True)
class Subscriptions:
    """What the composition root needs of them.

    Attributes:
        creator: The use cases of SubscriptionService.
        keepers: The loops over what is due, one for each provider.
        lifecycle: The loop over lifecycle notifications; nudged when one arrives.
        others: The other loops.
    """

    creator: SubscriptionUseCases
    keepers: tuple[PeriodicLoop, ...]
    lifecycle: PeriodicLoop
    others: tuple[PeriodicLoop, ...]

    @property
    def loops(self) -> tuple[PeriodicLoop, ...]:
        """All loops, to be run in the background."""
        return (*self.keepers, self.lifecycle, *self.others)

    def nudge(self) -> None:
        """Looks at once for what is due, since a tenant has changed. Safe to call again."""
        for keeper in self.keepers:
            keeper.nudge()


@asynccontextmanager
async def subscriptions(
    settings: IngestSettings, pool: Pool, vault: TokenVaultServiceAsyncStub, wakes: WakeQueue, clock: Clock
) -> AsyncIterator[Subscriptions]:
    """Builds them, with an HTTP client that is closed behind the block.

    Args:
        settings: Of the service.
        pool: Connections to PostgreSQL.
        vault: TokenVault.
        wakes: Tells the workers.
        clock: The time.
    """
    tokens, inbox = TokenBorrower(vault.IssueToken), InboxWriter(wakes)
    async with (
        httpx.AsyncClient(verify=_trust(settings), limits=CONNECTIONS, follow_redirects=False) as http,
        aclosing(_keeper(settings, pool, vault, http, tokens, inbox, clock)) as keeper,
    ):
        seconds = settings.subscription_seconds
        quiet = timedelta(minutes=settings.silence_minutes)
        loops = {
            provider: PeriodicLoop(f"subscriptions {provider}", seconds, partial(keeper.round, provider))
            for provider in PROVIDERS
        }
        # Lifecycle notifications are Graph's.
        lifecycle = LifecycleWorker(pool, inbox, clock, loops[microsoft.PROVIDER].nudge)
        address = AddressMonitor(pool, settings.public_url, loops[microsoft.PROVIDER].nudge, clock)
        yield Subscriptions(
            creator=SubscriptionUseCases(pool, keeper, tokens, clock, _pushing(settings)),
            keepers=tuple(loops.values()),
            lifecycle=PeriodicLoop("lifecycle", seconds, lifecycle.round),
            others=(
                PeriodicLoop("address", COUNT_ROUND_SECONDS, address.round),
                PeriodicLoop("silence", SILENCE_ROUND_SECONDS, SilenceMonitor(pool, inbox, quiet, clock).round),
                PeriodicLoop("counts", COUNT_ROUND_SECONDS, SubscriptionGauges(pool).round),
                PeriodicLoop(
                    "releases", seconds, ReleaseMonitor(pool, ReleaseConfirmer(vault.ConfirmTenantRelease)).round
                ),
            ),
        )


def _keeper(
    settings: IngestSettings,
    pool: Pool,
    vault: TokenVaultServiceAsyncStub,
    http: httpx.AsyncClient,
    tokens: TokenBorrower,
    inbox: InboxWriter,
    clock: Clock,
) -> SubscriptionReconciler:
    graph_calls = ProviderCalls(microsoft.PROVIDER, http, tokens)
    gmail_calls = ProviderCalls(google.PROVIDER, http, tokens)
    steps = Steps(
        pool,
        microsoft.GraphSubscriptions(graph_calls, settings.graph_url, settings.public_url),
        google.GmailWatches(gmail_calls, settings.gmail_url, settings.pubsub_topic),
        tokens,
        inbox,
        clock,
    )
    return SubscriptionReconciler(pool, steps, FaultReporter(vault.ReportTenantFault), f"ingest-{new_id()}", clock)


def _pushing(settings: IngestSettings) -> frozenset[str]:
    """The providers that can reach this installation: Google needs a topic besides."""
    if not settings.public_url:
        return frozenset()
    return frozenset({microsoft.PROVIDER} | ({google.PROVIDER} if settings.pubsub_topic else set()))


def _trust(settings: IngestSettings) -> ssl.SSLContext:
    trust = ssl.create_default_context()
    if settings.provider_ca is not None:
        trust.load_verify_locations(cafile=settings.provider_ca)
    return trust
