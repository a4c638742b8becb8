"""End the sends that no worker could end, and delete those whose outcome is old, old files, and old reports."""

from datetime import timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.mailbox.store import kept_bytes
from services.processor.outbox.outcome import end
from services.processor.outbox.store import due_sends, sends, uploads, waiting_reports

READABLE = timedelta(days=30)
"""The time for which a send, and with it its idempotency key, is kept after its outcome."""
_GRACE = timedelta(minutes=10)
"""The time after the deadline in which a worker may end the send itself, with better knowledge."""
_WAITING = timedelta(days=7)
"""The time for which a report waits for the Message-ID of its send."""
_BATCH = 500
_FILES = 10
"""The number of uploads that one statement deletes: each may have 25 MiB, and the statement has a deadline."""


class SendRetention:
    """Runs rounds of ending and deleting; for a periodic loop of the server process.

    Args:
        pool: Connections to PostgreSQL.
        clock: The time.
        grace: See `_GRACE`.
    """

    def __init__(self, pool: db.Pool, clock: Clock, grace: timedelta = _GRACE) -> None:
        self._pool = pool
        self._clock = clock
        self._grace = grace

    async def round(self) -> int:
        """Run one round; return the number of sends ended or deleted. Safe to call again and concurrently."""
        ended = 0
        while ended < _BATCH and await self._end_one():
            ended += 1
        async with db.connection(self._pool) as connection:
            ended += await sends.delete_finished(connection, self._clock.now() - READABLE, _BATCH)
            ended += await waiting_reports.delete_old(connection, self._clock.now() - _WAITING, _BATCH)
            for _ in range(_BATCH // _FILES):
                deleted = await uploads.delete_expired(connection, _FILES)
                ended += deleted
                if deleted < _FILES:
                    break
            await kept_bytes.delete_empty(connection)
            return ended

    async def _end_one(self) -> bool:
        """End one send in a transaction of its own: publishing must be its last step."""
        async with db.transaction(self._pool) as connection:
            rows = await due_sends.lock_overdue(connection, self._grace, 1)
            for row in rows:
                await end(connection, row, self._clock.now(), row.reason or "no worker could act on it")
            return bool(rows)
