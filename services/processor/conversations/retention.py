"""Delete conversations that a tenant keeps no longer, with their messages, relations and timers."""

from datetime import timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.conversations.store import reports, retention
from services.processor.conversations.store import settings as settings_store

_TENANTS = 20
_AT_ONCE = 200
_WAITING = timedelta(days=7)
"""The time for which a bounce waits for the message that it cites."""


class ConversationRetention:
    """Runs rounds of deleting; for a periodic loop of the server process.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
        event_days: The days for which events are kept. A conversation is kept longer than the events of its mail, so
            that no replay of them begins it again.
    """

    def __init__(self, pool: db.Pool, clock: Clock, event_days: int) -> None:
        self._pool = pool
        self._clock = clock
        self._event_days = event_days

    async def round(self) -> int:
        """Delete some conversations of some tenants; return how many. Safe to call again and concurrently."""
        now = self._clock.now()
        async with db.connection(self._pool) as connection:
            due = await retention.tenants(connection, now, self._event_days, _TENANTS)
            deleted = await reports.delete_old(connection, now - _WAITING, _AT_ONCE)
        for tenant_id in due:
            async with db.transaction(self._pool) as connection:
                # Mail may join a conversation at this moment: one change of a tenant's conversations at a time.
                if await settings_store.lock(connection, tenant_id) is not None:
                    deleted += await retention.delete_old(connection, tenant_id, now, self._event_days, _AT_ONCE)
        return deleted
