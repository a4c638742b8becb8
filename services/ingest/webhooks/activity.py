"""What is noted beside the webhooks and written now and then: when a subscription was last heard of, what was refused.

None of it is worth a write per notification. A crash costs the last seconds of it.
"""

from datetime import datetime

from services.ingest.store.activity import SightingStore

_MAX_NOTED = 100_000


class WebhookActivity:
    """Collects sightings and writes them in rounds.

    Args:
        store: Where they go.
    """

    def __init__(self, store: SightingStore) -> None:
        self._store = store
        self._seen: dict[str, tuple[str, datetime]] = {}
        self._refused: dict[datetime, int] = {}

    def note(self, subscription_id: str, tenant_id: str, now: datetime) -> None:
        """Notes that a subscription was heard of. Past 100,000 that wait, new ones are left out."""
        if subscription_id in self._seen or len(self._seen) < _MAX_NOTED:
            self._seen[subscription_id] = (tenant_id, now)

    def refuse(self, notifications: int, now: datetime) -> None:
        """Notes that notifications were answered 503."""
        minute = now.replace(second=0, microsecond=0)
        self._refused[minute] = self._refused.get(minute, 0) + notifications

    async def flush(self) -> int:
        """Writes what was noted since the last time. What cannot be written is kept for the next round.

        Returns:
            Always 0: the next round can wait.

        Raises:
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        seen, self._seen = self._seen, {}
        refused, self._refused = self._refused, {}
        is_written = False
        try:
            await self._store.write(seen, refused)
            is_written = True
        finally:
            if not is_written:
                self._seen = seen | self._seen
                for minute, count in refused.items():
                    self._refused[minute] = self._refused.get(minute, 0) + count
        return 0
