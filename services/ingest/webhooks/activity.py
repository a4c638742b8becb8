"""Webhook activity: the last notification of each subscription, and refused notifications, written at intervals.

Neither is worth a write for each notification. A crash loses the activity of the last seconds.
"""

from datetime import datetime

from services.ingest.store import activity
from services.meshkit import db

_MAX_NOTED = 100_000


class WebhookActivity:
    """Collects webhook activity and writes it in rounds.

    Args:
        pool: Connections to PostgreSQL.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._seen: dict[str, tuple[str, datetime]] = {}
        self._refused: dict[datetime, int] = {}

    def note(self, subscription_id: str, tenant_id: str, now: datetime) -> None:
        """Note that a subscription sent a notification. Past 100,000 unwritten subscriptions, new ones are ignored."""
        if subscription_id in self._seen or len(self._seen) < _MAX_NOTED:
            self._seen[subscription_id] = (tenant_id, now)

    def note_refused(self, notifications: int, now: datetime) -> None:
        """Note that notifications were answered 503."""
        minute = now.replace(second=0, microsecond=0)
        self._refused[minute] = self._refused.get(minute, 0) + notifications

    async def flush(self) -> int:
        """Write the activity since the last flush. A failed write is kept for the next round.

        Returns:
            Always 0: the next round can wait.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        seen, self._seen = self._seen, {}
        refused, self._refused = self._refused, {}
        is_written = False
        try:
            await activity.write(self._pool, seen, refused)
            is_written = True
        finally:
            if not is_written:
                self._seen = seen | self._seen
                for minute, count in refused.items():
                    self._refused[minute] = self._refused.get(minute, 0) + count
        return 0
