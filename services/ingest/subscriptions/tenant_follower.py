"""Follows the tenants' states, which TokenVault decides."""

from collections.abc import Callable

from mailmesh.vault.v1.token_vault_service_pb2 import ListTenantChangesRequest, ListTenantChangesResponse
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.ingest.metrics import TENANT_CHANGES
from services.ingest.store import tenants
from services.meshkit import db
from services.meshkit.tenant_follower import TenantFollower

_PAGE = 200
_WAIT_SECONDS = 20
_CALL_SECONDS = 30.0


class TenantStates:
    """Ingest's copy of the tenants' states.

    Args:
        pool: Connections to PostgreSQL, which has the copy.
        on_change: Called when something has changed, here or by another process.
        on_due: Called with a tenant whose items may be processed again.
    """

    def __init__(self, pool: db.Pool, on_change: Callable[[], None], on_due: Callable[[str], None]) -> None:
        self._pool = pool
        self._on_change = on_change
        self._on_due = on_due

    async def cursor(self) -> str:
        """Return the cursor in TokenVault's log. Every process follows the log.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        async with db.connection(self._pool) as connection:
            return await tenants.read_cursor(connection)

    async def apply(self, page: ListTenantChangesResponse, cursor: str) -> None:
        """Commit a page, unless another process has committed it, and report its changes.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        applied = await tenants.apply_changes(self._pool, page.changes, cursor, page.next_cursor)
        self._on_change()
        for change in applied or ():
            TENANT_CHANGES.inc()
            if change.is_due:
                self._on_due(change.tenant_id)


def tenant_follower(
    stub: TokenVaultServiceAsyncStub, states: TenantStates
) -> TenantFollower[ListTenantChangesResponse]:
    """Build the follower of TokenVault's log."""

    async def read(cursor: str) -> ListTenantChangesResponse:
        request = ListTenantChangesRequest(cursor=cursor, page_size=_PAGE, wait_seconds=_WAIT_SECONDS)
        return await stub.ListTenantChanges(request, timeout=_CALL_SECONDS)

    return TenantFollower(read, states)
