"""The upkeep of the inbox, in rounds: partitions, retention, and reconciliation after refusals."""

import random
from datetime import timedelta

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from services.ingest.errors import TenantDisconnected, TenantNotFound
from services.ingest.metrics import RETAINED
from services.ingest.settings import IngestSettings
from services.ingest.store import reconciles, refusals, subscriptions, tenants, upkeep
from services.ingest.store.reconciles import ReconcileRequest
from services.meshkit import db
from services.meshkit.clock import Clock

logger = structlog.get_logger(__name__)

_KEY_BLOCKS = 2_000
_CHUNK = 5_000
# A change is at most this old when its notification is first refused.
_REFUSED_MARGIN = timedelta(minutes=10)


class Upkeep:
    """Does the upkeep. Several processes may do it at once.

    Args:
        settings: Retention and bounds.
        pool: Connections to PostgreSQL.
        clock: The time.
    """

    def __init__(self, settings: IngestSettings, pool: db.Pool, clock: Clock) -> None:
        self._settings = settings
        self._pool = pool
        self._clock = clock
        self._key_block = 0

    async def round(self) -> int:
        """Do a bounded amount of the due upkeep. Safe to call again.

        Returns:
            1 when more is due, else 0.

        Raises:
            MeshError: PostgreSQL is away; the next round continues.
        """
        await self.keep_partitions()
        await self._expire_keys()
        retention = timedelta(days=self._settings.inbox_retention_days)
        async with db.connection(self._pool) as connection:
            leftovers = await upkeep.drop_leftovers(connection, retention, _CHUNK)
        discarded = await tenants.discard_items(self._pool, _CHUNK)
        RETAINED.labels("leftovers").inc(leftovers)
        RETAINED.labels("discarded_items").inc(discarded)
        await self._make_strays_due()
        await self._answer_refusals()
        return int(max(leftovers, discarded) >= _CHUNK)

    async def keep_partitions(self) -> None:
        """Create partitions ahead and drop old ones. Safe to call again.

        Raises:
            MeshError: PostgreSQL is away, or a lock was not obtained.
        """
        today = self._clock.now().date()
        await upkeep.make_partitions(self._pool, today)
        before = today - timedelta(days=self._settings.inbox_retention_days)
        dropped = await upkeep.drop_partitions(self._pool, before)
        RETAINED.labels("partitions").inc(dropped)

    async def _expire_keys(self) -> None:
        """Expire the keys in one range of blocks for each round, and start over at the end of the table."""
        retention = timedelta(days=self._settings.key_retention_days)
        async with db.connection(self._pool) as connection:
            if self._key_block >= await upkeep.key_blocks(connection):
                self._key_block = 0
            expired = await upkeep.expire_keys(connection, self._key_block, _KEY_BLOCKS, retention)
        RETAINED.labels("keys").inc(expired)
        self._key_block += _KEY_BLOCKS

    async def _make_strays_due(self) -> None:
        async with db.connection(self._pool) as connection:
            strays = await upkeep.make_strays_due(connection)
        if strays:
            logger.warning("mailboxes had items and were not due", mailboxes=strays)
            RETAINED.labels("strays").inc(strays)

    async def _answer_refusals(self) -> None:
        """Reconcile all mailboxes that depend on pushes after many were refused: some may not be redelivered."""
        async with db.connection(self._pool) as connection:
            minutes = await refusals.unanswered(connection, self._settings.refusals_to_reconcile)
            tenant_ids = await subscriptions.pushed_tenants(connection) if minutes else []
        if not minutes:
            return
        since, now = min(minutes) - _REFUSED_MARGIN, self._clock.now()
        for tenant_id in tenant_ids:
            spread = timedelta(seconds=random.uniform(0, self._settings.reconcile_spread_seconds))  # noqa: S311 - spreads load
            wanted = ReconcileRequest(ReconcileReason.RECONCILE_REASON_REFUSED, since=since, not_before=now + spread)
            try:
                await reconciles.enqueue_for_tenant(self._pool, tenant_id, wanted)
            except (TenantNotFound, TenantDisconnected):
                continue
        async with db.connection(self._pool) as connection:
            await refusals.mark_answered(connection, minutes)
        logger.info("mailboxes reconcile after refusals", minutes=len(minutes))
