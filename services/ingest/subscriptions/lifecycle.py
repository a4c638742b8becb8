"""Graph's lifecycle notifications, each with its remedy.

They come the durable way: on disk before they are answered. Here each becomes work on its subscription, in a
transaction of its own; the keeper does the rest.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_MISSED
from services.ingest.metrics import LIFECYCLE
from services.ingest.store import lifecycle as store
from services.ingest.store.connections import Connection, Pool, transaction
from services.ingest.subscriptions.inbox_items import InboxWriter
from services.meshkit.clock import Clock

logger = structlog.get_logger(__name__)

ROUND_LIMIT = 200
MISSED_DEBOUNCE = timedelta(minutes=5)
"""`missed` comes in bursts; one comparison answers all of a burst."""


class LifecycleWorker:
    """Works lifecycle notifications off.

    Args:
        pool: Connections to PostgreSQL.
        inbox: Puts items into the inbox.
        clock: The time.
        on_work: Called when something may be due about subscriptions.
    """

    def __init__(self, pool: Pool, inbox: InboxWriter, clock: Clock, on_work: Callable[[], None]) -> None:
        self._pool = pool
        self._inbox = inbox
        self._clock = clock
        self._on_work = on_work

    async def round(self) -> int:
        """Works what is due, a bounded number; a crash in between leaves it due. Returns how many were worked."""
        for count in range(ROUND_LIMIT):
            if not await self._next():
                return count
        return ROUND_LIMIT

    async def _next(self) -> bool:
        now = self._clock.now()
        async with transaction(self._pool) as connection:
            told = await store.take(connection, now)
            if told is None:
                return False
            await self._work(connection, told, now)
        self._inbox.wake(told.tenant_id)
        self._on_work()
        return True

    async def _work(self, connection: Connection, told: store.Lifecycle, now: datetime) -> None:
        match told.event:
            case "reauthorizationRequired":
                # One PATCH renews and reauthorizes. What changed while delivery paused is lost: compare afterwards.
                await store.renew_now(connection, told.subscription_id, now, RECONCILE_REASON_MISSED)
            case "subscriptionRemoved":
                await store.make_anew(connection, told.subscription_id, now, RECONCILE_REASON_MISSED)
            case "missed":
                if await self._is_debounced(connection, told, now):
                    return
                await self._inbox.reconcile(connection, told.tenant_id, RECONCILE_REASON_MISSED)
            case event:
                logger.warning("lifecycle event not known", lifecycle_event=event[:50])
        LIFECYCLE.labels(told.event if told.event in store.KNOWN_EVENTS else "other").inc()
        await store.worked(connection, told.lifecycle_id, now)

    async def _is_debounced(self, connection: Connection, told: store.Lifecycle, now: datetime) -> bool:
        last = await store.last_processed(connection, told.subscription_id, told.event)
        if last is None or last + MISSED_DEBOUNCE <= now:
            return False
        await store.put_off(connection, told.lifecycle_id, last + MISSED_DEBOUNCE)
        return True
