"""GetPipelineStatus: the state of everything between a push and an event."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TypeVar

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.ingest.v1 import inbox_service_pb2 as ingest_pb2
from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceAsyncStub
from mailmesh.processor.v1 import processor_service_pb2 as pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit import db
from services.meshkit.errors import MeshError
from services.processor.pipeline.counts import OwnCounts, newest_event, own_counts, tenant_rows
from services.processor.stream.cursor_seal import written
from services.processor.stream.ends import at_event, newest, oldest
from services.processor.stream.settled import settled

MAX_TENANTS = 1000
_DEFAULT_TENANTS = 20
_CALL_SECONDS = 3.0

_Answer = TypeVar("_Answer")


class Pipeline:
    """Assembles the view.

    Args:
        pool: Connections to PostgreSQL.
        ingest: The service that counts waiting items.
        vault: The service that counts tenants and refreshes.
    """

    def __init__(self, pool: db.Pool, ingest: InboxServiceAsyncStub, vault: TokenVaultServiceAsyncStub) -> None:
        self._pool = pool
        self._ingest = ingest
        self._vault = vault

    async def status(self, max_tenants: int, scope: list[str] | None) -> pb2.GetPipelineStatusResponse:
        """Return the view.

        Args:
            max_tenants: The number of tenants to list; 0 means 20.
            scope: The tenants that the caller may see; None means all. A caller with a scope does not get the counts
                that a service keeps only for the whole installation, and its newest position is that of its tenants.

        Raises:
            StoreUnavailable: Processor's database cannot be reached. The field `unavailable` names the other services
                that do not answer.
        """
        most = max_tenants or _DEFAULT_TENANTS
        inbox_request = ingest_pb2.GetInboxStatusRequest(tenant_ids=scope or [], max_tenants=most)
        no_tenants = scope is not None and not scope
        inbox, vault = await asyncio.gather(
            _optional(self._ingest.GetInboxStatus(inbox_request, timeout=_CALL_SECONDS)),
            _optional(self._vault.GetVaultStatus(vault_pb2.GetVaultStatusRequest(), timeout=_CALL_SECONDS)),
        )
        status = pb2.GetPipelineStatusResponse(measured_at=_timestamp(datetime.now(UTC)))
        status.unavailable.extend(
            name for name, answer in (("ingest", inbox), ("token-vault", vault)) if answer is None
        )
        if inbox is not None and not no_tenants:
            _add_inbox(status, inbox, scope)
        if vault is not None and scope is None:
            status.tenants_by_status.update(vault.tenants_by_status)
            status.refresh_failures_last_hour = vault.refresh_failures_last_hour
        await self._add_own(status, scope, inbox if not no_tenants else None, most)
        return status

    async def _add_own(
        self,
        status: pb2.GetPipelineStatusResponse,
        scope: list[str] | None,
        inbox: ingest_pb2.GetInboxStatusResponse | None,
        most: int,
    ) -> None:
        backlog = {} if inbox is None else {tenant.tenant_id: tenant for tenant in inbox.tenants}
        async with settled(self._pool, 0) as (connection, stream):
            counts = await own_counts(connection, scope)
            behind = await tenant_rows(connection, scope, list(backlog), len(backlog)) if backlog else []
            others = await tenant_rows(connection, scope, None, most)
            own_newest = None if scope is None else await newest_event(connection, scope, stream.head)
        known = {str(row["tenant_id"]): row for row in (*behind, *others)}
        lags = [_lag(tenant_id, row, backlog.get(tenant_id)) for tenant_id, row in known.items()]
        status.tenants.extend(sorted(lags, key=lambda lag: (-lag.lag_seconds, lag.tenant_id))[:most])
        _add_counts(status, counts, scope)
        if scope is None:
            status.newest_position = newest(stream).write() if stream.head else ""
        elif own_newest is not None:
            # The cursor of an own event tells nothing new; that of the oldest one may be another tenant's.
            is_kept = own_newest[0] > stream.floor
            status.newest_position = written(at_event(stream, *own_newest), stream.seal, None if is_kept else scope)
        status.oldest_position = written(oldest(stream), stream.seal, scope)


async def _optional(call: Awaitable[_Answer]) -> _Answer | None:
    """Return the answer, or None when the service does not answer: the view names the service and shows the rest."""
    try:
        return await call
    except MeshError:
        return None


def _add_inbox(
    status: pb2.GetPipelineStatusResponse, inbox: ingest_pb2.GetInboxStatusResponse, scope: list[str] | None
) -> None:
    status.inbox_pending = inbox.pending_items
    status.inbox_oldest_seconds = inbox.oldest_pending_seconds
    status.dead_letters = inbox.dead_letters
    status.subscriptions_by_state.update(inbox.subscriptions_by_state)
    if scope is None:
        status.refused_last_hour = inbox.refused_last_hour


def _add_counts(status: pb2.GetPipelineStatusResponse, counts: OwnCounts, scope: list[str] | None) -> None:
    status.events_last_hour = counts.events_last_hour
    status.unenriched_pending = counts.unenriched_pending
    if scope is not None:
        return
    for worker in counts.workers:
        status.workers.add(
            worker_id=worker["worker_id"],
            seen_at=_timestamp(worker["seen_at"]),
            started_at=_timestamp(worker["started_at"]),
            tenants_held=worker["tenants_held"],
        )


def _lag(tenant_id: str, row: asyncpg.Record, backlog: ingest_pb2.TenantBacklog | None) -> pb2.TenantLag:
    lag = pb2.TenantLag(
        tenant_id=tenant_id,
        provider=row["provider"],
        last_event_at=_position_time(row["position"]),
        last_reconciled_at=_timestamp(row["last_reconciled_at"]),
        throttled_until=_timestamp(row["throttled_until"]),
    )
    if backlog is not None:
        lag.lag_seconds = backlog.oldest_pending_seconds
        lag.inbox_pending = backlog.pending_items
        lag.is_waiting_for_person = backlog.is_waiting_for_person
        if backlog.HasField("last_notification_at"):
            lag.last_notification_at.CopyFrom(backlog.last_notification_at)
    return lag


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def _position_time(position: int | None) -> Timestamp | None:
    """A position is the time of publication in microseconds."""
    if position is None:
        return None
    made = Timestamp()
    made.FromMicroseconds(position)
    return made
