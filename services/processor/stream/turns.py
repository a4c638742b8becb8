"""Take turns among the tenants of a follower of the stream: one that fails or is far behind delays no other."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from services.meshkit import db
from services.meshkit.errors import MeshError
from services.meshkit.metrics import UNEXPECTED
from services.processor.errors import CursorEpochChanged, CursorExpired
from services.processor.stream.cursor import Cursor
from services.processor.stream.metrics import FOLLOWER_LAG_SECONDS, FOLLOWER_TURNS
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.store import turns as store

logger = structlog.get_logger(__name__)

DONE = "done"
_UNFORESEEN = "internal"
_TENANTS = 20


async def _anybody(_: db.Connection) -> bool:
    return True


@dataclass(frozen=True)
class Turns:
    """The turns of one follower.

    Args:
        pool: Connections to PostgreSQL.
        follower: Its name, in logs and metrics.
        table: Its table, with the columns that `store.turns` names.
        advance: Reads the next events of a tenant.
        has_other_work: The SQL condition for rows that are due without unread events.
        may_begin: Whether this process may take the turns of a round.
    """

    pool: db.Pool
    follower: str
    table: str
    advance: Callable[[str], Awaitable[None]]
    has_other_work: str = "false"
    may_begin: Callable[[db.Connection], Awaitable[bool]] = _anybody

    async def round(self) -> int:
        """Give some tenants a turn; return how many went on. For a periodic loop. Safe to call again: yes."""
        lag = FOLLOWER_LAG_SECONDS.labels(self.follower)
        async with db.connection(self.pool) as connection:
            due = await store.due(connection, self.table, self.has_other_work, _TENANTS)
            if not due.tenant_ids or not await self.may_begin(connection):
                lag.set(0)
                return 0
            await store.note_turns(connection, self.table, due.tenant_ids)
        lag.set(0 if due.oldest is None else max(0.0, time.time() - due.oldest))
        return sum([await self._turn(tenant_id) for tenant_id in due.tenant_ids])

    async def _turn(self, tenant_id: str) -> bool:
        outcome = _UNFORESEEN
        try:
            await self.advance(tenant_id)
            outcome = DONE
        except MeshError as exc:
            outcome = exc.reason.lower()
            logger.warning("a follower failed", follower=self.follower, tenant_id=tenant_id, error=exc.reason)
        except Exception:  # a mail that cannot be read must not hold other tenants back
            logger.exception("a follower failed", follower=self.follower, tenant_id=tenant_id)
            UNEXPECTED.labels(self.follower).inc()
        FOLLOWER_TURNS.labels(self.follower, outcome).inc()
        return outcome == DONE


async def resume(reader: EventReader, cursor: str) -> Cursor:
    """Return the place of a follower; the oldest event if retention has passed it, or the store is another one."""
    try:
        return await reader.start(cursor, EARLIEST)
    except (CursorExpired, CursorEpochChanged):
        return await reader.start(EARLIEST, EARLIEST)
