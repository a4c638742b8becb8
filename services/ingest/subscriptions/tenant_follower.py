"""Follows the tenants' states, which TokenVault decides."""

from collections.abc import Callable

import structlog

from mailmesh.vault.v1.token_vault_service_pb2 import ListTenantChangesRequest
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.ingest.metrics import TENANT_CHANGES
from services.ingest.store import tenants
from services.ingest.store.connections import Pool, reading

logger = structlog.get_logger(__name__)

_PAGE = 200
_WAIT_SECONDS = 20
_CALL_SECONDS = 30.0


class TenantFollower:
    """Reads the log of tenants' changes and applies it, page by page.

    Any number of processes may follow: whoever is faster moves the cursor, the others go on behind it.

    Args:
        stub: TokenVault.
        pool: Connections to PostgreSQL, for our copy of the tenants.
        on_change: Called when something has changed, here or by another process.
        on_due: Called with a tenant whose items may be worked again.
    """

    def __init__(
        self,
        stub: TokenVaultServiceAsyncStub,
        pool: Pool,
        on_change: Callable[[], None],
        on_due: Callable[[str], None],
    ) -> None:
        self._stub = stub
        self._pool = pool
        self._on_change = on_change
        self._on_due = on_due

    async def follow(self) -> int:
        """Applies the next page, waiting for it when there is none.

        Returns:
            1, so that the next page is asked for at once.

        Raises:
            MeshError: TokenVault or PostgreSQL is away.
        """
        async with reading(self._pool) as connection:
            cursor = await tenants.read_cursor(connection)
        request = ListTenantChangesRequest(cursor=cursor, page_size=_PAGE, wait_seconds=_WAIT_SECONDS)
        answer = await self._stub.ListTenantChanges(request, timeout=_CALL_SECONDS)
        if answer.next_cursor == cursor:
            return 1
        followed = await tenants.apply_changes(self._pool, answer.changes, cursor, answer.next_cursor)
        self._on_change()
        for change in followed or ():
            TENANT_CHANGES.inc()
            if change.is_due:
                self._on_due(change.tenant_id)
        return 1
