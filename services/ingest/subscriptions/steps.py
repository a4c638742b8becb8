"""What each step does: first at the provider, with nothing held, then in the store, under the lease's fence."""

import hashlib
import secrets

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_MISSED
from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_SUSPENDED
from services.ingest.errors import ProviderUnavailable
from services.ingest.store import subscription_leases as store
from services.ingest.store.connections import Connection, Pool, reading, transaction
from services.ingest.subscriptions import google, microsoft
from services.ingest.subscriptions.failures import GoneError
from services.ingest.subscriptions.inbox_items import InboxWriter
from services.ingest.subscriptions.next_step import ProviderSubscription, Step, SubscriptionRow
from services.ingest.subscriptions.provider_calls import TokenBorrower
from services.meshkit.clock import Clock
from services.meshkit.secret import Secret

logger = structlog.get_logger(__name__)


class Steps:
    """Takes steps about leased subscriptions.

    Args:
        pool: Connections to PostgreSQL.
        graph: Subscriptions at Microsoft.
        gmail: Watches at Google.
        tokens: Where tenants' user ids come from.
        inbox: Puts items into the inbox.
        clock: The time.
    """

    def __init__(
        self,
        pool: Pool,
        graph: microsoft.GraphSubscriptions,
        gmail: google.GmailWatches,
        tokens: TokenBorrower,
        inbox: InboxWriter,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._graph = graph
        self._gmail = gmail
        self._tokens = tokens
        self._inbox = inbox
        self._clock = clock

    async def take(self, step: Step, row: SubscriptionRow) -> None:
        """Takes a step and ends the lease, unless it fails. Safe to call again under a new lease.

        Args:
            step: Which.
            row: The leased subscription.

        Raises:
            MeshError: The provider, TokenVault or PostgreSQL did not let it come to pass.
        """
        match step:
            case Step.MAKE:
                await self._make(row)
            case Step.RENEW:
                await self._renew(row)
            case Step.POLL:
                await self._poll(row)
            case Step.LET_LAPSE:
                await self._put_away(row, SUBSCRIPTION_STATE_SUSPENDED, is_at_provider=True)
            case Step.RELEASE:
                await self._end_at_provider(row)
                await self._put_away(row, SUBSCRIPTION_STATE_SUSPENDED)
            case Step.SUSPEND:
                await self._put_away(row, SUBSCRIPTION_STATE_SUSPENDED)
            case Step.DELETE:
                await self._end_at_provider(row)
                await self._put_away(row, SUBSCRIPTION_STATE_DELETED)
            case Step.FORGET:
                await self._put_away(row, SUBSCRIPTION_STATE_DELETED)

    async def _make(self, row: SubscriptionRow) -> None:
        now = self._clock.now()
        made = await (self._watch(row) if row.provider == google.PROVIDER else self._make_at_microsoft(row))
        async with transaction(self._pool) as connection:
            if await store.made(connection, row, made, now, is_new=True):
                await self._inbox.watched(connection, row, made.history_id, now)
                # One that is not new has expired, or was lost: what happened since then is not known.
                await self._inbox.reconcile(connection, row.tenant_id, row.reconcile_reason or RECONCILE_REASON_MISSED)
        self._inbox.wake(row.tenant_id)
        logger.info("subscription made", subscription_id=row.subscription_id, tenant_id=row.tenant_id)

    async def _renew(self, row: SubscriptionRow) -> None:
        now = self._clock.now()
        try:
            made = await self._renew_at_provider(row)
        except GoneError:
            logger.info("subscription lost", subscription_id=row.subscription_id, tenant_id=row.tenant_id)
            async with transaction(self._pool) as connection:
                is_held = await store.gone(connection, row, RECONCILE_REASON_MISSED)
            if is_held:
                await self._make(row)
            return
        async with transaction(self._pool) as connection:
            if await store.made(connection, row, made, now, is_new=False):
                await self._reconcile(connection, row)
        self._inbox.wake(row.tenant_id)

    async def _poll(self, row: SubscriptionRow) -> None:
        async with transaction(self._pool) as connection:
            if await store.polled(connection, row) and row.reconcile_reason is not None:
                await self._inbox.watched(connection, row, None, self._clock.now())
                await self._reconcile(connection, row)
        self._inbox.wake(row.tenant_id)

    async def _reconcile(self, connection: Connection, row: SubscriptionRow) -> None:
        if row.reconcile_reason is not None:
            await self._inbox.reconcile(connection, row.tenant_id, row.reconcile_reason)

    async def _make_at_microsoft(self, row: SubscriptionRow) -> ProviderSubscription:
        client_state = Secret(secrets.token_urlsafe(48))
        digest = hashlib.sha256(client_state.reveal().encode()).digest()
        async with transaction(self._pool) as connection:
            if not await store.put_client_state(connection, row, digest):
                raise ProviderUnavailable("Another process works on the subscription.")
        _, tenant = await self._tokens.borrow(row.tenant_id)
        resource = microsoft.resource_of(tenant.user_id, row.folder_id)
        return await self._graph.make(
            row.tenant_id, row.subscription_id, resource, row.change_types, client_state, self._clock.now()
        )

    async def _watch(self, row: SubscriptionRow) -> ProviderSubscription:
        """Makes or renews the mailbox's one watch: the union of what all of its subscriptions want."""
        async with reading(self._pool) as connection:
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

    async def _end_at_google(self, row: SubscriptionRow) -> None:
        async with reading(self._pool) as connection:
            others = await store.watched_labels(connection, row.tenant_id, row.subscription_id)
        if others:
            await self._gmail.watch(row.tenant_id, google.union(others))
        else:
            await self._gmail.stop(row.tenant_id)

    async def _put_away(self, row: SubscriptionRow, state: int, *, is_at_provider: bool = False) -> None:
        async with transaction(self._pool) as connection:
            await store.put_away(connection, row, state=state, is_at_provider=is_at_provider)
