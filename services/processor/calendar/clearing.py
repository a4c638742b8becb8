"""Delete the events of calendars that are not followed any more, in bounded parts."""

from services.meshkit import db
from services.processor.calendar.store import calendars, events

_PARTS = 20


class CalendarClearing:
    """Runs rounds of deleting; for a periodic loop of the server process.

    Args:
        pool: Connections to PostgreSQL.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool

    async def round(self) -> int:
        """Run one round; return the number of parts deleted. Safe to call again and concurrently."""
        for done in range(_PARTS):
            if not await self._part():
                return done
        return _PARTS

    async def _part(self) -> bool:
        """Delete one part in a transaction of its own; return whether there was one."""
        async with db.transaction(self._pool) as connection:
            row = await calendars.lock_clearing(connection)
            if row is not None and await events.forget(connection, row.calendar_id):
                await calendars.cleared(connection, row.calendar_id)
            return row is not None
