"""What is looked after beside the steps: quiet mailboxes, disconnects, the address, counts."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_SILENCE
from mailmesh.ingest.v1.subscription_service_pb2 import SubscriptionState
from services.ingest.metrics import SILENCES, SUBSCRIPTION_EXPIRY, SUBSCRIPTIONS
from services.ingest.store import subscription_monitors as store
from services.ingest.store import tenants
from services.ingest.store.connections import Pool, reading, transaction
from services.ingest.subscriptions.inbox_items import InboxWriter
from services.ingest.subscriptions.token_vault import ReleaseConfirmer
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError

logger = structlog.get_logger(__name__)

ROUND_LIMIT = 100


class SilenceMonitor:
    """Puts mailboxes forward for reconciliation that were quiet for longer than they should be.

    A subscription can look healthy and deliver nothing. Whether the mailbox is quiet or the provider is, only a
    comparison tells.

    Args:
        pool: Connections to PostgreSQL.
        inbox: Puts items into the inbox.
        quiet: How long is too long.
        clock: The time.
    """

    def __init__(self, pool: Pool, inbox: InboxWriter, quiet: timedelta, clock: Clock) -> None:
        self._pool = pool
        self._inbox = inbox
        self._quiet = quiet
        self._clock = clock

    async def round(self) -> int:
        """Notes what is silent and puts it forward. Returns how many."""
        async with transaction(self._pool) as connection:
            silent = await store.silent(connection, self._clock.now(), self._quiet, ROUND_LIMIT)
            tenant_ids = sorted({tenant_id for _, tenant_id in silent})
            for tenant_id in tenant_ids:
                await self._inbox.reconcile(connection, tenant_id, RECONCILE_REASON_SILENCE)
        for tenant_id in tenant_ids:
            self._inbox.wake(tenant_id)
        SILENCES.inc(len(silent))
        return len(silent)


class AddressMonitor:
    """Has what pushes to an address that the edge no longer has made anew, as when a tunnel was opened again.

    Args:
        pool: Connections to PostgreSQL.
        address: The public address; empty without one.
        nudge: Starts the next round of the keeper.
        clock: The time.
    """

    def __init__(self, pool: Pool, address: str, nudge: Callable[[], None], clock: Clock) -> None:
        self._pool = pool
        self._address = address
        self._nudge = nudge
        self._clock = clock
        # Once for a process: while processes with the old and the new address run beside each other, neither insists.
        self._is_noted = not address

    async def round(self) -> int:
        """Notes the address. Returns 0: it is not due again."""
        if self._is_noted:
            return 0
        async with transaction(self._pool) as connection:
            due = await store.note_address(connection, self._address, self._clock.now())
        self._is_noted = True
        if due:
            logger.info("public address changed", public_url=self._address, subscriptions=due)
            self._nudge()
        return 0


class SubscriptionGauges:
    """Says in metrics how many subscriptions there are and when the first expires. Every process says the same.

    Args:
        pool: Connections to PostgreSQL.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def round(self) -> int:
        """Counts. Returns 0: it is not due again at once."""
        async with reading(self._pool) as connection:
            counts = await store.counts(connection)
        SUBSCRIPTIONS.clear()
        SUBSCRIPTION_EXPIRY.clear()
        for count in counts:
            state = SubscriptionState.Name(count.state).removeprefix("SUBSCRIPTION_STATE_").lower()  # type: ignore[arg-type]
            SUBSCRIPTIONS.labels(count.provider, state).set(count.subscriptions)
            if count.soonest_expiry is not None:
                SUBSCRIPTION_EXPIRY.labels(count.provider, state).set(count.soonest_expiry.timestamp())
        return 0


class ReleaseMonitor:
    """Tells TokenVault when the provider has nothing more of a tenant that is being disconnected.

    Args:
        pool: Connections to PostgreSQL.
        releases: Tells TokenVault.
    """

    def __init__(self, pool: Pool, releases: ReleaseConfirmer) -> None:
        self._pool = pool
        self._releases = releases

    async def round(self) -> int:
        """Confirms what can be confirmed; what TokenVault does not take is confirmed again. Returns how many."""
        async with reading(self._pool) as connection:
            due = await tenants.release_due(connection, ROUND_LIMIT)
        return sum([await self._confirm(tenant_id) for tenant_id in due])

    async def _confirm(self, tenant_id: str) -> bool:
        async with reading(self._pool) as connection:
            if await store.unreleased(connection, tenant_id):
                return False
        try:
            await self._releases.confirm(tenant_id)
        except MeshError as exc:
            logger.warning("release not confirmed", tenant_id=tenant_id, reason=exc.reason)
            return False
        async with reading(self._pool) as connection:
            await tenants.released(connection, tenant_id)
        return True
