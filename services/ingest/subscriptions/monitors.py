"""Monitors beside the steps: silent mailboxes, the public address, counts for metrics, and releases on disconnect."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_SILENCE
from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_RESOURCE_MAIL, SubscriptionState
from services.ingest.metrics import SILENCES, SUBSCRIPTION_EXPIRY, SUBSCRIPTION_HEALTH, SUBSCRIPTIONS
from services.ingest.store import subscription_health, tenants
from services.ingest.store import subscription_monitors as store
from services.ingest.subscriptions.inbox_items import enqueue_calendar_changed, enqueue_reconcile
from services.ingest.subscriptions.token_vault import ReleaseConfirmer
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError

logger = structlog.get_logger(__name__)

ROUND_LIMIT = 100


class SilenceMonitor:
    """Reconciles mailboxes whose subscriptions were silent for too long.

    A subscription can look healthy and deliver nothing. Only a reconciliation tells whether the mailbox is quiet or the
    provider is.

    Args:
        pool: Connections to PostgreSQL.
        quiet: The longest silence of a subscription to mail without a reconciliation.
        quiet_calendar: The longest silence of a calendar's subscription without a reading.
        clock: The time.
        wake: Wakes a worker for a tenant, after the commit.
    """

    def __init__(
        self,
        pool: db.Pool,
        quiet: timedelta,
        quiet_calendar: timedelta,
        clock: Clock,
        wake: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._quiet = quiet
        self._quiet_calendar = quiet_calendar
        self._clock = clock
        self._wake = wake

    async def round(self) -> int:
        """Note the silent subscriptions and reconcile their mailboxes. Returns the number of subscriptions."""
        async with db.transaction(self._pool) as connection:
            now = self._clock.now()
            silent = await store.note_silent(connection, now, self._quiet, self._quiet_calendar, ROUND_LIMIT)
            for tenant_id in sorted({one.tenant_id for one in silent if one.resource == SUBSCRIPTION_RESOURCE_MAIL}):
                await enqueue_reconcile(connection, tenant_id, RECONCILE_REASON_SILENCE)
            for one in silent:
                if one.resource != SUBSCRIPTION_RESOURCE_MAIL:
                    await enqueue_calendar_changed(connection, one.tenant_id, one.calendar_id, now)
        for tenant_id in sorted({one.tenant_id for one in silent}):
            self._wake(tenant_id)
        SILENCES.inc(len(silent))
        return len(silent)


class AddressMonitor:
    """Makes subscriptions due that push to an old public address of the edge, such as that of a reopened tunnel.

    Args:
        pool: Connections to PostgreSQL.
        address: The public address; empty without one.
        on_due: Called when the steps of subscriptions are due.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, address: str, on_due: Callable[[], None], clock: Clock) -> None:
        self._pool = pool
        self._address = address
        self._on_due = on_due
        self._clock = clock
        # Once for each process: while processes with the old and the new address run side by side, neither insists.
        self._is_noted = not address

    async def round(self) -> int:
        """Store the address. Returns 0: the next round can wait."""
        if self._is_noted:
            return 0
        async with db.transaction(self._pool) as connection:
            due = await store.note_address(connection, self._address, self._clock.now())
        self._is_noted = True
        if due:
            logger.info("public address changed", public_url=self._address, subscriptions=due)
            self._on_due()
        return 0


class SubscriptionGauges:
    """Sets the metrics of the number of subscriptions and their earliest expiry. Every process reports the same.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def round(self) -> int:
        """Count the subscriptions. Returns 0: the next round can wait."""
        async with db.connection(self._pool) as connection:
            counts = await store.counts(connection)
            health = await subscription_health.read(connection, None, "", self._clock.now())
        SUBSCRIPTION_HEALTH.clear()
        for one in health:
            for name, value in one.counts().items():
                SUBSCRIPTION_HEALTH.labels(one.provider, one.resource_name, name).set(value)
        SUBSCRIPTIONS.clear()
        SUBSCRIPTION_EXPIRY.clear()
        for count in counts:
            state = SubscriptionState.Name(count.state).removeprefix("SUBSCRIPTION_STATE_").lower()  # type: ignore[arg-type]
            SUBSCRIPTIONS.labels(count.provider, state).set(count.subscriptions)
            if count.soonest_expiry is not None:
                SUBSCRIPTION_EXPIRY.labels(count.provider, state).set(count.soonest_expiry.timestamp())
        return 0


class ReleaseMonitor:
    """Confirms to TokenVault when the provider has nothing more of a tenant that is being disconnected.

    Args:
        pool: Connections to PostgreSQL.
        releases: Confirms releases.
    """

    def __init__(self, pool: db.Pool, releases: ReleaseConfirmer) -> None:
        self._pool = pool
        self._releases = releases

    async def round(self) -> int:
        """Confirm the completed releases; a failed confirmation is retried. Returns the number of confirmed ones."""
        async with db.connection(self._pool) as connection:
            due = await tenants.release_due(connection, ROUND_LIMIT)
        return sum([await self._confirm(tenant_id) for tenant_id in due])

    async def _confirm(self, tenant_id: str) -> bool:
        async with db.connection(self._pool) as connection:
            if await store.count_unreleased(connection, tenant_id):
                return False
        try:
            await self._releases.confirm(tenant_id)
        except MeshError as exc:
            logger.warning("release not confirmed", tenant_id=tenant_id, reason=exc.reason)
            return False
        async with db.connection(self._pool) as connection:
            await tenants.mark_released(connection, tenant_id)
        return True
