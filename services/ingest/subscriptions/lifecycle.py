"""Processes Graph's lifecycle notifications, each in a transaction of its own.

They are on disk before they are answered. Each makes a step of its subscription due, and the reconciler executes it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_MISSED
from services.ingest.metrics import LIFECYCLE
from services.ingest.store import lifecycle as store
from services.ingest.subscriptions.inbox_items import enqueue_calendar_changed, enqueue_reconcile
from services.meshkit import db
from services.meshkit.clock import Clock

logger = structlog.get_logger(__name__)

ROUND_LIMIT = 200
MISSED_DEBOUNCE = timedelta(minutes=5)
"""`missed` arrives in bursts; one reconciliation answers a whole burst."""


class LifecycleWorker:
    """Processes lifecycle notifications.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
        wake: Wakes a worker for a tenant, after the commit.
        on_due: Called when the step of a subscription may be due.
    """

    def __init__(self, pool: db.Pool, clock: Clock, wake: Callable[[str], None], on_due: Callable[[], None]) -> None:
        self._pool = pool
        self._clock = clock
        self._wake = wake
        self._on_due = on_due

    async def round(self) -> int:
        """Process due notifications, a bounded number; after a crash they are still due. Returns their number."""
        for count in range(ROUND_LIMIT):
            if not await self._next():
                return count
        return ROUND_LIMIT

    async def _next(self) -> bool:
        now = self._clock.now()
        async with db.transaction(self._pool) as connection:
            notification = await store.lock_next(connection, now)
            if notification is None:
                return False
            await self._process(connection, notification, now)
        self._wake(notification.tenant_id)
        self._on_due()
        return True

    async def _process(self, connection: db.Connection, notification: store.Lifecycle, now: datetime) -> None:
        match notification.event:
            case "reauthorizationRequired":
                # One PATCH renews and reauthorizes. Changes during the pause are lost: reconcile afterwards.
                await store.renew_now(connection, notification.subscription_id, now, RECONCILE_REASON_MISSED)
            case "subscriptionRemoved":
                await store.recreate_now(connection, notification.subscription_id, now, RECONCILE_REASON_MISSED)
            case "missed":
                if await self._is_debounced(connection, notification, now):
                    return
                calendar_id = await store.calendar_of(connection, notification.subscription_id)
                if calendar_id:
                    await enqueue_calendar_changed(connection, notification.tenant_id, calendar_id, now)
                else:
                    await enqueue_reconcile(connection, notification.tenant_id, RECONCILE_REASON_MISSED)
            case event:
                logger.warning("unknown lifecycle event", lifecycle_event=event[:50])
        LIFECYCLE.labels(notification.event if notification.event in store.KNOWN_EVENTS else "other").inc()
        await store.mark_processed(connection, notification.lifecycle_id, now)

    async def _is_debounced(self, connection: db.Connection, notification: store.Lifecycle, now: datetime) -> bool:
        last = await store.last_processed(connection, notification.subscription_id, notification.event)
        if last is None or last + MISSED_DEBOUNCE <= now:
            return False
        await store.postpone(connection, notification.lifecycle_id, last + MISSED_DEBOUNCE)
        return True
