"""The audit log: entries are committed in groups, before the result of the recorded action leaves the process."""

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
    """Appends to the audit log outside of other transactions.

    Args:
        pool: Connections for lending.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._batcher: Batcher[Entry, None] = Batcher("audit", self._append, BatchLimits(_PENDING, _GROUP_SIZE))

    async def append(self, entry: Entry) -> None:
        """Append an entry, and return once it is committed.

        Raises:
            StoreUnavailable: The entry was not committed.
            Overloaded: Too many entries wait.
        """
        await self._batcher.do(entry)

    async def _append(self, entries: Sequence[Entry]) -> Sequence[None]:
        async with db.connection(self._pool) as connection:
            await append(connection, *entries)
        return [None] * len(entries)


def actor() -> str:
    """Return the author of the current call, as the audit log names it."""
    caller = current_caller()
    return f"key:{caller.key_id}" if caller.key_id else f"mesh:{caller.name}"
