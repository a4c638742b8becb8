"""Executes the steps: first at the provider, without a lock, then in the store, under the lease's fence."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_MISSED
from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_SUSPENDED
from services.ingest.errors import ProviderUnavailable, TokenRejected
from services.ingest.store import subscription_leases as store
from services.ingest.store.subscription_rows import ProviderSubscription, SubscriptionRow
from services.ingest.subscriptions import google, microsoft
from services.ingest.subscriptions.failures import GoneError
from services.ingest.subscriptions.inbox_items import enqueue_reconcile, enqueue_watched
from services.ingest.subscriptions.next_step import Step
from services.ingest.subscriptions.provider_calls import TokenBorrower
from services.ingest.subscriptions.schedule import renewal_time
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret

logger = structlog.get_logger(__name__)


class Steps:
    """Executes the steps of leased subscriptions.

    Args:
        pool: Connections to PostgreSQL.
        graph: Subscriptions at Microsoft.
        gmail: Watches at Google.
        tokens: The source of tenants' user ids.
        wake: Wakes a worker for a tenant, after the commit.
        clock: The time.
    """

    def __init__(
        self,
        pool: db.Pool,
        graph: microsoft.GraphSubscriptions,
        gmail: google.GmailWatches,
        tokens: TokenBorrower,
        wake: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._graph = graph
        self._gmail = gmail
        self._tokens = tokens
        self._wake = wake
        self._clock = clock

    async def execute(self, step: Step, row: SubscriptionRow) -> None:
        """Execute a step and end the lease, unless it fails. Safe to call again under a new lease.

        Args:
            step: The step.
            row: The leased subscription.

        Raises:
            MeshError: The provider, TokenVault or PostgreSQL failed.
        """
        match step:
            case Step.MAKE:
                await self._create(row)
            case Step.RENEW:
                await self._renew(row)
            case Step.POLL:
                await self._poll(row)
            case Step.LET_LAPSE:
                await self._end(row, SUBSCRIPTION_STATE_SUSPENDED, is_at_provider=True)
            case Step.RELEASE:
                is_left = not await self._released(row)
                await self._end(row, SUBSCRIPTION_STATE_SUSPENDED, is_at_provider=is_left)
            case Step.SUSPEND:
                await self._end(row, SUBSCRIPTION_STATE_SUSPENDED)
            case Step.DELETE:
                await self._end_at_provider(row)
                await self._end(row, SUBSCRIPTION_STATE_DELETED)
            case Step.FORGET:
                await self._end(row, SUBSCRIPTION_STATE_DELETED)

    async def _create(self, row: SubscriptionRow) -> None:
        now = self._clock.now()
        made = await (self._watch(row) if row.provider == google.PROVIDER else self._create_at_microsoft(row))
        async with db.transaction(self._pool) as connection:
            if await self._record_active(connection, row, made, now, is_new=True):
                await enqueue_watched(connection, row, made.history_id, now)
                # A subscription that is not new had expired or was lost: its changes since then are unknown.
                await enqueue_reconcile(connection, row.tenant_id, row.reconcile_reason or RECONCILE_REASON_MISSED)
        self._wake(row.tenant_id)
        logger.info("subscription created", subscription_id=row.subscription_id, tenant_id=row.tenant_id)

    async def _renew(self, row: SubscriptionRow) -> None:
        now = self._clock.now()
        try:
            made = await self._renew_at_provider(row)
        except GoneError:
            logger.info("subscription lost", subscription_id=row.subscription_id, tenant_id=row.tenant_id)
            async with db.transaction(self._pool) as connection:
                is_leased = await store.record_lost(connection, row, RECONCILE_REASON_MISSED)
            if is_leased:
                await self._create(row)
            return
        async with db.transaction(self._pool) as connection:
            if await self._record_active(connection, row, made, now, is_new=False):
                await self._reconcile(connection, row)
        self._wake(row.tenant_id)

    async def _poll(self, row: SubscriptionRow) -> None:
        async with db.transaction(self._pool) as connection:
            if await store.record_polling(connection, row) and row.reconcile_reason is not None:
                await enqueue_watched(connection, row, None, self._clock.now())
                await self._reconcile(connection, row)
        self._wake(row.tenant_id)

    async def _record_active(
        self,
        connection: db.Connection,
        row: SubscriptionRow,
        made: ProviderSubscription,
        now: datetime,
        *,
        is_new: bool,
    ) -> bool:
        renew_at = renewal_time(row.provider, now, made.expires_at)
        return await store.record_active(connection, row, made, now, renew_at=renew_at, is_new=is_new)

    async def _reconcile(self, connection: db.Connection, row: SubscriptionRow) -> None:
        if row.reconcile_reason is not None:
            await enqueue_reconcile(connection, row.tenant_id, row.reconcile_reason)

    async def _create_at_microsoft(self, row: SubscriptionRow) -> ProviderSubscription:
        client_state = Secret(secrets.token_urlsafe(48))
        digest = hashlib.sha256(client_state.reveal().encode()).digest()
        async with db.transaction(self._pool) as connection:
            if not await store.put_client_state(connection, row, digest):
                raise ProviderUnavailable("Another process holds the lease on the subscription.")
        _, tenant = await self._tokens.borrow(row.tenant_id)
        resource = microsoft.resource_of(tenant.user_id, row.folder_id)
        return await self._graph.create(
            row.tenant_id, row.subscription_id, resource, row.change_types, client_state, self._clock.now()
        )

    async def _watch(self, row: SubscriptionRow) -> ProviderSubscription:
        """Create or renew the mailbox's one watch: the union of the labels of all of its subscriptions."""
        async with db.connection(self._pool) as connection:
            others = await store.watched_labels(connection, row.tenant_id, row.subscription_id)
        return await self._gmail.watch(row.tenant_id, google.union([row.label_ids, *others]))

    async def _renew_at_provider(self, row: SubscriptionRow) -> ProviderSubscription:
        if row.provider == google.PROVIDER:
            return await self._watch(row)
        if row.provider_subscription_id is None:
            raise GoneError
        return await self._graph.renew(row.tenant_id, row.provider_subscription_id, self._clock.now())

    async def _end_at_provider(self, row: SubscriptionRow) -> None:
        if row.is_polled:
            return
        if row.provider == google.PROVIDER:
            await self._end_at_google(row)
        elif row.provider_subscription_id is not None:
            await self._graph.delete(row.tenant_id, row.provider_subscription_id)
        else:
            await self._graph.delete_all_of(row.tenant_id, row.subscription_id)

    async def _released(self, row: SubscriptionRow) -> bool:
        """Delete the subscription at the provider; False if the grant is broken, so that it can only lapse there."""
        try:
            await self._end_at_provider(row)
        except MeshError as exc:
            if exc.reason != TokenRejected.reason:
                raise
            return False
        return True

    async def _end_at_google(self, row: SubscriptionRow) -> None:
        async with db.connection(self._pool) as connection:
            others = await store.watched_labels(connection, row.tenant_id, row.subscription_id)
        if others:
            await self._gmail.watch(row.tenant_id, google.union(others))
        else:
            await self._gmail.stop(row.tenant_id)

    async def _end(self, row: SubscriptionRow, state: int, *, is_at_provider: bool = False) -> None:
        async with db.transaction(self._pool) as connection:
            await store.record_ended(connection, row, state=state, is_at_provider=is_at_provider)
