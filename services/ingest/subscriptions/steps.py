"""Executes the steps: first at the provider, without a lock, then in the store, under the lease's fence."""

from collections.abc import Callable
from datetime import datetime

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_MISSED
from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_SUSPENDED
from services.ingest.certificates.upkeep import Certificate, Certificates
from services.ingest.errors import CalendarNotPushed, PublicUrlUnset, TokenRejected
from services.ingest.store import subscription_leases as store
from services.ingest.store.subscription_rows import ProviderSubscription, SubscriptionRow
from services.ingest.subscriptions import google, microsoft
from services.ingest.subscriptions.calendar_steps import CalendarSteps, may_be_pushed_later
from services.ingest.subscriptions.client_states import new_client_state
from services.ingest.subscriptions.failures import GoneError
from services.ingest.subscriptions.inbox_items import enqueue_news, enqueue_watched
from services.ingest.subscriptions.next_step import Step
from services.ingest.subscriptions.provider_calls import TokenBorrower
from services.ingest.subscriptions.schedule import push_retry_time, renewal_time
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError

logger = structlog.get_logger(__name__)


class Steps:
    """Executes the steps of leased subscriptions.

    Args:
        pool: Connections to PostgreSQL.
        graph: Subscriptions at Microsoft.
        gmail: Watches at Google.
        calendars: Subscriptions to calendars at both.
        tokens: The source of tenants' user ids.
        wake: Wakes a worker for a tenant, after the commit.
        clock: The time.
        certificates: Certificates for resource data; None where the installation accepts none.
    """

    def __init__(
        self,
        pool: db.Pool,
        graph: microsoft.GraphSubscriptions,
        gmail: google.GmailWatches,
        calendars: CalendarSteps,
        tokens: TokenBorrower,
        wake: Callable[[str], None],
        clock: Clock,
        certificates: Certificates | None = None,
    ) -> None:
        self._pool = pool
        self._graph = graph
        self._gmail = gmail
        self._calendars = calendars
        self._tokens = tokens
        self._wake = wake
        self._clock = clock
        self._certificates = certificates

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
        try:
            made = await self._create_at_provider(row)
        except (CalendarNotPushed, PublicUrlUnset) as exc:
            await self._give_up_pushes(row, exc)
            return
        async with db.transaction(self._pool) as connection:
            is_stored = await self._record_active(connection, row, made, now, is_new=True)
            if is_stored:
                if row.is_of_mail:
                    await enqueue_watched(connection, row, made.history_id, now)
                # A subscription that is not new had expired or was lost: its changes since then are unknown.
                await enqueue_news(connection, row, row.reconcile_reason or RECONCILE_REASON_MISSED, now)
        self._wake(row.tenant_id)
        if is_stored and not row.is_of_mail:
            await self._calendars.end_replaced(row, made.provider_subscription_id)
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
        except (CalendarNotPushed, PublicUrlUnset) as exc:
            await self._give_up_pushes(row, exc)
            return
        # A replaced channel may have had a last push that was lost with it: read once more.
        reason = row.reconcile_reason if row.is_of_mail else row.reconcile_reason or RECONCILE_REASON_MISSED
        async with db.transaction(self._pool) as connection:
            is_stored = await self._record_active(connection, row, made, now, is_new=False)
            if is_stored:
                await enqueue_news(connection, row, reason, now)
        self._wake(row.tenant_id)
        if is_stored and not row.is_of_mail:
            await self._calendars.end_replaced(row, made.provider_subscription_id)

    async def _give_up_pushes(self, row: SubscriptionRow, cause: CalendarNotPushed | PublicUrlUnset) -> None:
        """Store that a calendar is polled, and why. A calendar that was pushed is read at once.

        A refusal that may pass is retried after a day. A public address makes the others due by itself.
        """
        now = self._clock.now()
        may_pass = isinstance(cause, CalendarNotPushed) and may_be_pushed_later(row, cause)
        retry_at = push_retry_time(now) if may_pass else None
        async with db.transaction(self._pool) as connection:
            if await store.record_not_pushed(
                connection, row, reason=cause.reason, detail=cause.message, retry_at=retry_at
            ):
                await enqueue_news(connection, row, RECONCILE_REASON_MISSED, now)
        self._wake(row.tenant_id)
        logger.info("calendar not pushed", subscription_id=row.subscription_id, reason=cause.reason)

    async def _poll(self, row: SubscriptionRow) -> None:
        async with db.transaction(self._pool) as connection:
            if await store.record_polling(connection, row) and row.reconcile_reason is not None:
                now = self._clock.now()
                if row.is_of_mail:
                    await enqueue_watched(connection, row, None, now)
                await enqueue_news(connection, row, row.reconcile_reason, now)
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
        renew_at = renewal_time(row.provider, now, made.expires_at, is_of_mail=row.is_of_mail)
        return await store.record_active(connection, row, made, now, renew_at=renew_at, is_new=is_new)

    async def _create_at_provider(self, row: SubscriptionRow) -> ProviderSubscription:
        if not row.is_of_mail:
            return await self._calendars.create(row)
        if row.provider == google.PROVIDER:
            return await self._watch(row)
        certificate = await self._certificate(row)
        client_state = await new_client_state(self._pool, row, certificate.certificate_id if certificate else "")
        _, tenant = await self._tokens.borrow(row.tenant_id)
        resource = microsoft.resource_of(tenant.user_id, row.folder_id)
        return await self._graph.create(
            row.tenant_id, row.subscription_id, resource, row.change_types, client_state, self._clock.now(), certificate
        )

    async def _certificate(self, row: SubscriptionRow) -> Certificate | None:
        """Return the certificate of a subscription that asks for resource data, where the installation accepts it."""
        return await self._certificates.current() if self._certificates and row.includes_resource_data else None

    async def _watch(self, row: SubscriptionRow) -> ProviderSubscription:
        """Create or renew the mailbox's one watch: the union of the labels of all of its subscriptions."""
        async with db.connection(self._pool) as connection:
            others = await store.watched_labels(connection, row.tenant_id, row.subscription_id)
        return await self._gmail.watch(row.tenant_id, google.union([row.label_ids, *others]))

    async def _renew_at_provider(self, row: SubscriptionRow) -> ProviderSubscription:
        if not row.is_of_mail:
            return await self._calendars.renew(row)
        if row.provider == google.PROVIDER:
            return await self._watch(row)
        if row.provider_subscription_id is None:
            raise GoneError
        certificate = await self._certificate(row)
        if bool(certificate) != bool(row.certificate_id):
            # A renewal can replace a certificate, but neither begin nor end resource data.
            await self._graph.delete(row.tenant_id, row.provider_subscription_id)
            raise GoneError
        now = self._clock.now()
        return await self._graph.renew(row.tenant_id, row.provider_subscription_id, now, certificate=certificate)

    async def _end_at_provider(self, row: SubscriptionRow) -> None:
        if row.is_polled and (row.is_of_mail or row.provider != google.PROVIDER):
            return
        if not row.is_of_mail:
            # A calendar that is polled now may have channels from before its pushes were given up.
            await self._calendars.end(row)
        elif row.provider == google.PROVIDER:
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
