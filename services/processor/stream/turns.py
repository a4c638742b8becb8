"""Take turns among the tenants of a follower of the stream: one that fails, waits or is far behind delays no other."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from services.meshkit import db
from services.meshkit.errors import MeshError
from services.meshkit.metrics import UNEXPECTED
from services.processor.stream.cursor import Cursor
from services.processor.stream.errors import CursorEpochChanged, CursorExpired
from services.processor.stream.metrics import FOLLOWER_LAG_SECONDS, FOLLOWER_TURNS
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.store import turns as store

logger = structlog.get_logger(__name__)

DONE = "done"
_UNFORESEEN = "internal"
_TENANTS = 20
_ROUND_SECONDS = 60.0
"""The time after which a round ends with the turn under way: tenants that have come since then go before the others."""


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
        is_paused: The SQL condition for rows that have no turn for now; it is never null.
        may_begin: Whether this process may take the next turn.
    """

    pool: db.Pool
    follower: str
    table: str
    advance: Callable[[str], Awaitable[None]]
    has_other_work: str = "false"
    is_paused: str = "false"
    may_begin: Callable[[db.Connection], Awaitable[bool]] = _anybody

    async def round(self) -> int:
        """Give some tenants a turn; return how many went on. For a periodic loop. Safe to call again: yes."""
        lag, ends_at = FOLLOWER_LAG_SECONDS.labels(self.follower), time.monotonic() + _ROUND_SECONDS
        async with db.connection(self.pool) as connection:
            due = await store.due(connection, self.table, self.has_other_work, self.is_paused, _TENANTS)
            is_here = due.oldest is not None and await self.may_begin(connection)
        lag.set(max(0.0, time.time() - due.oldest) if is_here and due.oldest is not None else 0)
        done = 0
        for tenant_id in due.tenant_ids:
            if time.monotonic() > ends_at or not await self._begin(tenant_id):
                break
            done += await self._turn(tenant_id)
        return done

    async def _begin(self, tenant_id: str) -> bool:
        async with db.connection(self.pool) as connection:
            if not await self.may_begin(connection):
                return False
            await store.note_turn(connection, self.table, tenant_id)
            return True

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
