"""Who did what: entries are committed in groups before what they tell about leaves the process."""

from collections.abc import Sequence

from services.meshkit import db
from services.meshkit.batcher import Batcher, BatchLimits
from services.meshkit.identity.caller import current_caller
from services.token_vault.store.audit import Entry, append

ITSELF = "token-vault"
COMMAND = "command"
_GROUP_SIZE = 500
_PENDING = 5000


class AuditLog:
    """Appends to the audit log beside the transactions of the store.

    Args:
        pool: Connections of the hot path.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._batcher: Batcher[Entry, None] = Batcher("audit", self._append, BatchLimits(_PENDING, _GROUP_SIZE))

    async def append(self, entry: Entry) -> None:
        """Appends an entry and returns when it is committed.

        Raises:
            StoreUnavailable: It could not be committed.
            Overloaded: Too many entries wait.
        """
        await self._batcher.do(entry)

    async def _append(self, entries: Sequence[Entry]) -> Sequence[None]:
        async with db.connection(self._pool) as connection:
            await append(connection, *entries)
        return [None] * len(entries)


def actor() -> str:
    """Names who makes the call that runs here, as the audit log has it."""
    caller = current_caller()
    return f"key:{caller.key_id}" if caller.key_id else f"mesh:{caller.name}"
