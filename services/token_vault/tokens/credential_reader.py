"""Read credentials for lending, many by one statement, and append the audit entries of loans the same way."""

from collections.abc import Sequence

from services.meshkit import db
from services.meshkit.batcher import Batcher, BatchLimits
from services.meshkit.cache import BoundedCache
from services.token_vault.errors import TenantNotFound
from services.token_vault.store.audit import Entry
from services.token_vault.store.credentials import Credential, append_unchanged, read_many

_GROUP_SIZE = 200
_PENDING = 5000
_REMEMBERED = 10_000
_LANES = 2
_GATHER_SECONDS = 0.003


class CredentialReader:
    """Reads current credentials, for all concurrent callers by one statement.

    It remembers the credentials that it read, still sealed. So a loan is decided in memory, and then verified and
    recorded by one statement.

    Args:
        pool: Connections for lending.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._reads: Batcher[str, Credential | None] = Batcher(
            "credentials", self._read, BatchLimits(_PENDING, _GROUP_SIZE, lanes=_LANES)
        )
        self._appends: Batcher[tuple[Entry, str], bool] = Batcher(
            "loans", self._append, BatchLimits(_PENDING, _GROUP_SIZE, gather_seconds=_GATHER_SECONDS)
        )
        self._remembered: BoundedCache[str, Credential] = BoundedCache(_REMEMBERED)

    def remembered(self, tenant_id: str) -> Credential | None:
        """Return the credential that was read last for a tenant. It may have changed since."""
        return self._remembered.get(tenant_id)

    async def append_unchanged(self, entry: Entry, stamp: str) -> bool:
        """Append an entry to the audit log if the tenant's rows are still those of a credential.

        Returns:
            True when the entry is committed; False when the rows have changed.
        """
        return await self._appends.do((entry, stamp))

    async def read(self, tenant_id: str) -> Credential:
        """Read a credential.

        Raises:
            TenantNotFound: The tenant does not exist.
            StoreUnavailable: The database did not answer.
        """
        credential = await self._reads.do(tenant_id)
        if credential is None:
            raise TenantNotFound.of(tenant_id)
        return credential

    async def _read(self, tenant_ids: Sequence[str]) -> Sequence[Credential | None]:
        async with db.connection(self._pool) as connection:
            found = await read_many(connection, tenant_ids)
        for tenant_id, credential in found.items():
            self._remembered.put(tenant_id, credential)
        return [found.get(tenant_id) for tenant_id in tenant_ids]

    async def _append(self, loans: Sequence[tuple[Entry, str]]) -> Sequence[bool]:
        async with db.connection(self._pool) as connection:
            appended = await append_unchanged(connection, loans)
        return [entry.audit_entry_id in appended for entry, _ in loans]
