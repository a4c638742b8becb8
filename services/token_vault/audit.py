"""Who did what: entries are committed in groups before what they tell about leaves the process."""

from collections.abc import Sequence

import asyncpg

from services.meshkit.db import store_errors
from services.meshkit.identity.caller import current_caller
from services.token_vault.grouped import Grouped
from services.token_vault.store.audit import Entry, append_group

ITSELF = "token-vault"
COMMAND = "command"
_GROUP_SIZE = 500
_PENDING = 5000
_WAIT_SECONDS = 2.0


class AuditLog:
    """Appends to the audit log beside the transactions of the store.

    Args:
        pool: Connections of the hot path.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._grouped: Grouped[Entry, None] = Grouped("audit", self._append, _GROUP_SIZE, _PENDING)

    async def append(self, entry: Entry) -> None:
        """Appends an entry and returns when it is committed.

        Raises:
            StoreUnavailable: It could not be committed.
            Overloaded: Too many entries wait.
        """
        await self._grouped.do(entry)

    async def _append(self, entries: Sequence[Entry]) -> Sequence[None]:
        with store_errors():
            await append_group(self._pool, entries, _WAIT_SECONDS)
        return [None] * len(entries)


def actor() -> str:
    """Names who makes the call that runs here, as the audit log has it."""
    caller = current_caller()
    return f"key:{caller.key_id}" if caller.key_id else f"mesh:{caller.name}"
