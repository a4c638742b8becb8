"""Make a worker process drop the tokens of tenants that have changed."""

from collections.abc import Coroutine
from typing import Any

from services.meshkit import db
from services.meshkit.head_watch import HeadWatch
from services.meshkit.loops import PeriodicLoop
from services.processor.mailbox.store import tenant_changes
from services.processor.mailbox.token_cache import TokenCache

_POOL_SECONDS = 5.0
_CHANGES_AT_ONCE = 1000
_IDLE_SECONDS = 15.0


class TokenDropper:
    """Makes one worker process drop the tokens of tenants that have changed.

    Args:
        pool: The process's connections.
        tokens: The process's tokens.
    """

    def __init__(self, pool: db.Pool, tokens: TokenCache) -> None:
        self._pool = pool
        self._tokens = tokens
        self._number: int | None = None

    async def round(self) -> int:
        """Drop the tokens of tenants that changed since the last round; for a periodic loop."""
        async with db.connection(self._pool, _POOL_SECONDS) as connection:
            if self._number is None:
                self._number = await tenant_changes.newest_change(connection)
                # A token lent before this first query may be older than a change that the query does not return.
                self._tokens.drop_all()
                return 0
            changed = await tenant_changes.changed_since(connection, self._number, _CHANGES_AT_ONCE)
        for tenant_id, number in changed:
            self._tokens.drop(tenant_id)
            self._number = number
        return len(changed) if len(changed) == _CHANGES_AT_ONCE else 0


def token_loops(
    pool: db.Pool, channel: str, tokens: TokenCache, seconds: float
) -> tuple[Coroutine[Any, Any, None], ...]:
    """Return the loops that drop the tokens of changed tenants: at once, and by a slow poll in any case.

    Args:
        pool: The process's connections; one of them listens.
        channel: The NOTIFY channel of changed tenants.
        tokens: The process's tokens.
        seconds: Between two polls while tenants change.
    """
    loop = PeriodicLoop(
        "tokens", seconds, TokenDropper(pool, tokens).round, idle_factor=max(1.0, _IDLE_SECONDS / seconds)
    )
    head = HeadWatch(pool, channel, tenant_changes.newest_change)
    head.call(loop.wake)
    return head.run(), loop.run()
