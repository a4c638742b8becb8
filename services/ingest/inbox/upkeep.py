"""The upkeep of the inbox, in rounds: partitions, retention, comparisons after refusals."""

import random
from datetime import timedelta

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from services.ingest.errors import TenantDisconnected, TenantNotFound
from services.ingest.metrics import RETAINED
from services.ingest.settings import IngestSettings
from services.ingest.store.leases import LeaseStore
from services.ingest.store.reconciles import ReconcileRequest
from services.ingest.store.tenants import TenantStore
from services.ingest.store.upkeep import UpkeepStore
from services.meshkit.clock import Clock

logger = structlog.get_logger(__name__)

_KEY_BLOCKS = 2_000
_CHUNK = 5_000
# Changes made while notifications were refused are at most this old when the first one was refused.
_REFUSED_MARGIN = timedelta(minutes=10)


class Upkeep:
    """Does the upkeep.

    Args:
        settings: Retention and bounds.
        store: For partitions, keys and leftovers.
        tenants: For items of tenants that are gone.
        leases: For comparisons.
        clock: Says which day it is.
    """

    def __init__(
        self, settings: IngestSettings, store: UpkeepStore, tenants: TenantStore, leases: LeaseStore, clock: Clock
    ) -> None:
        self._settings = settings
        self._store = store
        self._tenants = tenants
        self._leases = leases
        self._clock = clock
        self._key_block = 0

    async def round(self) -> int:
        """Does what is to be done now, a bounded amount of it.

        Returns:
            1 when there is more of it, else 0.

        Raises:
            MeshError: PostgreSQL is away; the next round goes on.
        """
        await self.keep_partitions()
        await self._expire_keys()
        retention = timedelta(days=self._settings.inbox_retention_days)
        leftovers = await self._store.drop_leftovers(retention, _CHUNK)
        discarded = await self._tenants.discard(_CHUNK)
        RETAINED.labels("leftovers").inc(leftovers)
        RETAINED.labels("discarded_items").inc(discarded)
        await self._find_strays()
        await self._answer_refusals()
        return int(max(leftovers, discarded) >= _CHUNK)

    async def keep_partitions(self) -> None:
        """Makes partitions ahead and drops those behind. Safe to call again.

        Raises:
            MeshError: PostgreSQL is away, or a lock was not had.
        """
        today = self._clock.now().date()
        await self._store.make_partitions(today)
        dropped = await self._store.drop_partitions(today - timedelta(days=self._settings.inbox_retention_days))
        RETAINED.labels("partitions").inc(dropped)

    async def _expire_keys(self) -> None:
        """Goes over the keys, a stretch a round, and begins again at the end."""
        if self._key_block >= await self._store.key_blocks():
            self._key_block = 0
        retention = timedelta(days=self._settings.key_retention_days)
        RETAINED.labels("keys").inc(await self._store.expire_keys(self._key_block, _KEY_BLOCKS, retention))
        self._key_block += _KEY_BLOCKS

    async def _find_strays(self) -> None:
        strays = await self._store.find_strays()
        if strays:
            logger.warning("mailboxes had items and were not due", mailboxes=strays)
            RETAINED.labels("strays").inc(strays)

    async def _answer_refusals(self) -> None:
        """Compares all mailboxes that live on pushes after many pushes were refused: some may not be sent again."""
        minutes = await self._store.unanswered_refusals(self._settings.refusals_to_reconcile)
        if not minutes:
            return
        since, now = min(minutes) - _REFUSED_MARGIN, self._clock.now()
        for tenant_id in await self._store.pushed_tenants():
            spread = timedelta(seconds=random.uniform(0, self._settings.reconcile_spread_seconds))  # noqa: S311 - spreads load
            wanted = ReconcileRequest(ReconcileReason.RECONCILE_REASON_REFUSED, since=since, not_before=now + spread)
            try:
                await self._leases.enqueue_reconcile(tenant_id, wanted)
            except (TenantNotFound, TenantDisconnected):
                continue
        await self._store.answer_refusals(minutes)
        logger.info("mailboxes are compared after refusals", minutes=len(minutes))
