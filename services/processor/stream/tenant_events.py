"""Follow TokenVault's log of tenants' changes, and publish each change as an event of the stream."""

from datetime import UTC, timedelta

import structlog

from mailmesh.processor.v1 import event_pb2
from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit import db
from services.meshkit.erasing import marked
from services.meshkit.ids import new_id
from services.meshkit.tenant_follower import TenantFollower
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.store import tenants

logger = structlog.get_logger(__name__)

_LOG = "tenant_changes"
_WAIT_SECONDS = 10
_CALL_SECONDS = 12.0
_PAGE = 200
_DUTY = timedelta(seconds=15)
_POOL_SECONDS = 5.0


def status_name(status: "tenant_pb2.TenantStatus.ValueType") -> str:
    """Return a status without its prefix, in lower case."""
    return tenant_pb2.TenantStatus.Name(status).removeprefix("TENANT_STATUS_").lower()


class TenantStates:
    """Processor's copy of the tenants' states. One process at a time follows the log, the others stand by.

    Args:
        pool: The process's connections.
    """

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._holder = new_id()

    async def cursor(self) -> str | None:
        """Return the cursor in TokenVault's log, or None while another process follows it.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        async with db.connection(self._pool, _POOL_SECONDS) as connection:
            if not await tenants.take_duty(connection, _LOG, self._holder, _DUTY):
                return None
            return await tenants.cursor(connection, _LOG)

    async def apply(self, page: vault_pb2.ListTenantChangesResponse, cursor: str) -> None:
        """Commit a page with its events and its cursor, unless another process has committed it.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        async with db.transaction(self._pool, _POOL_SECONDS) as connection:
            if await tenants.cursor(connection, _LOG, lock=True) != cursor:
                logger.info("tenant changes were published by another process")
                return
            # A change of an erased tenant, also one read when following begins again, would bring back its rows.
            erased = await marked(connection, "processor", {change.tenant.tenant_id for change in page.changes})
            drafts = []
            for change in (one for one in page.changes if one.tenant.tenant_id not in erased):
                drafts += await self._taken(connection, change, is_first=not cursor)
            await tenants.set_cursor(connection, _LOG, page.next_cursor)
            await publish(connection, drafts)

    async def _taken(
        self, connection: db.Connection, change: vault_pb2.TenantChange, *, is_first: bool
    ) -> list[EventDraft]:
        """Store the change. The first state of a tenant, read when following began, makes no event."""
        tenant = change.tenant
        before, now = await tenants.status(connection, tenant.tenant_id), status_name(tenant.status)
        await tenants.save(connection, tenant, now, change.changed_at.ToDatetime(UTC))
        if now == "disconnected":
            await tenants.forget_mailbox(connection, tenant.tenant_id)
        event_type = event_type_of(change, before)
        if not event_type or (is_first and not change.change_id):
            return []
        return [EventDraft(tenant=_event(change, event_type), change_id=change.change_id)]


def tenant_follower(
    pool: db.Pool, stub: TokenVaultServiceAsyncStub
) -> TenantFollower[vault_pb2.ListTenantChangesResponse]:
    """Build the follower of TokenVault's log."""

    async def read(cursor: str) -> vault_pb2.ListTenantChangesResponse:
        request = vault_pb2.ListTenantChangesRequest(cursor=cursor, page_size=_PAGE, wait_seconds=_WAIT_SECONDS)
        return await stub.ListTenantChanges(request, timeout=_CALL_SECONDS)

    return TenantFollower(read, TenantStates(pool))


def event_type_of(change: vault_pb2.TenantChange, before: str) -> str:
    """Return the event type of a change; empty when consumers do not follow the change."""
    now = status_name(change.tenant.status)
    previous = status_name(change.previous_status)
    if change.is_reconnected or previous == "unspecified":
        return "tenant.connected"
    if now in ("token_expired", previous) or (previous == "token_expired" and now == "active"):
        return ""
    return "" if before == now and previous == now else f"tenant.{now}"


def _event(change: vault_pb2.TenantChange, event_type: str) -> event_pb2.TenantEvent:
    tenant = change.tenant
    return event_pb2.TenantEvent(
        provider=tenant.provider,
        tenant_id=tenant.tenant_id,
        external_tenant_id=tenant.external_tenant_id,
        user_id=tenant.user_id,
        event_type=event_type,
        received_at=change.changed_at,
        correlation_id=change.correlation_id,
        status_reason=tenant.status_reason,
        status_detail=tenant.status_detail,
    )
