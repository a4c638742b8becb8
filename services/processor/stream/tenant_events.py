"""Follow TokenVault's log of tenants' changes, and publish each change as an event of the stream."""

from datetime import UTC, timedelta
from typing import cast

import asyncpg
import structlog

from mailmesh.processor.v1 import event_pb2
from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.db import store_errors
from services.meshkit.ids import new_id
from services.processor.connection import Connection
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.store import tenants

logger = structlog.get_logger(__name__)

_LOG = "tenant_changes"
_WAIT_SECONDS = 5
_CALL_SECONDS = 12.0
_PAGE = 200
_DUTY = timedelta(seconds=15)
_POOL_SECONDS = 5.0


def status_name(status: "tenant_pb2.TenantStatus.ValueType") -> str:
    """Return a status without its prefix, in lower case."""
    return tenant_pb2.TenantStatus.Name(status).removeprefix("TENANT_STATUS_").lower()


class TenantFollower:
    """Reads the log from the stored cursor; one process at a time, the others stand by.

    Args:
        pool: The process's connections.
        stub: TokenVault.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", stub: TokenVaultServiceAsyncStub) -> None:
        self._pool = pool
        self._stub = stub
        self._holder = new_id()

    async def round(self) -> int:
        """Read a page of changes, waiting a while for one, and commit them with the cursor; for a periodic loop.

        Returns:
            The number of changes.

        Raises:
            MeshError: TokenVault or PostgreSQL cannot be reached.
        """
        with store_errors():
            async with self._pool.acquire(timeout=_POOL_SECONDS) as lent:
                connection = cast("Connection", lent)
                if not await tenants.take_duty(connection, _LOG, self._holder, _DUTY):
                    return 0
                cursor = await tenants.cursor(connection, _LOG)
        request = vault_pb2.ListTenantChangesRequest(cursor=cursor, page_size=_PAGE, wait_seconds=_WAIT_SECONDS)
        page = await self._stub.ListTenantChanges(request, timeout=_CALL_SECONDS)
        if page.changes or page.next_cursor != cursor:
            await self._commit(cursor, page)
        return max(1, len(page.changes))

    async def _commit(self, cursor: str, page: vault_pb2.ListTenantChangesResponse) -> None:
        with store_errors():
            async with self._pool.acquire(timeout=_POOL_SECONDS) as lent, lent.transaction():
                connection = cast("Connection", lent)
                if await tenants.cursor(connection, _LOG, lock=True) != cursor:
                    logger.info("tenant changes were published by another process")
                    return
                drafts = []
                for change in page.changes:
                    drafts += await self._taken(connection, change, is_first=not cursor)
                await tenants.set_cursor(connection, _LOG, page.next_cursor)
                await publish(connection, drafts)

    async def _taken(
        self, connection: Connection, change: vault_pb2.TenantChange, *, is_first: bool
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
