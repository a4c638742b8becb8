"""ProcessorService: operators inspect and repair the pipeline here."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.ingest.v1 import inbox_item_pb2, inbox_service_pb2
from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceAsyncStub
from mailmesh.processor.v1 import processor_service_pb2 as pb2
from mailmesh.processor.v1.processor_service_pb2_grpc import ProcessorServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.processor.errors import TenantNotFound
from services.processor.mail.backfill.requests import Backfills, message_of
from services.processor.pipeline.status import MAX_TENANTS, Pipeline
from services.processor.stream.filter import scope_of
from services.processor.stream.replay import Replaying

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class ProcessorServicer(Base):
    """Answers ProcessorService.

    Args:
        replaying: Replays events.
        pipeline: Assembles the pipeline's view.
        ingest: The service that takes reconciliations.
        backfills: Begins backfills.
    """

    def __init__(
        self, replaying: Replaying, pipeline: Pipeline, ingest: InboxServiceAsyncStub, backfills: Backfills
    ) -> None:
        self._replaying = replaying
        self._pipeline = pipeline
        self._ingest = ingest
        self._backfills = backfills

    @override
    async def ReplayEvents(self, request: pb2.ReplayEventsRequest, context: "Context") -> pb2.ReplayEventsResponse:
        """Append the events of a range again."""
        _check_range(request)
        return await self._replaying.replay(request, current_caller())

    @override
    async def ReconcileMailbox(
        self, request: pb2.ReconcileMailboxRequest, context: "Context"
    ) -> pb2.ReconcileMailboxResponse:
        """Put a reconciliation into the inbox."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        if not current_caller().may_see(tenant_id):
            raise TenantNotFound.of(tenant_id)
        asked = inbox_service_pb2.EnqueueReconcileRequest(
            tenant_id=tenant_id, reason=inbox_item_pb2.RECONCILE_REASON_MANUAL
        )
        if request.HasField("since"):
            asked.since.CopyFrom(request.since)
        answer = await self._ingest.EnqueueReconcile(asked)
        return pb2.ReconcileMailboxResponse(item_id=answer.item_id, was_waiting=answer.was_waiting)

    @override
    async def BackfillMailbox(
        self, request: pb2.BackfillMailboxRequest, context: "Context"
    ) -> pb2.BackfillMailboxResponse:
        """Begin a backfill."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        since = self._backfills.checked(request.since)
        if not current_caller().may_see(tenant_id):
            raise TenantNotFound.of(tenant_id)
        row, was_running = await self._backfills.begin(tenant_id, since)
        return pb2.BackfillMailboxResponse(backfill=message_of(row), was_running=was_running)

    @override
    async def GetBackfill(self, request: pb2.GetBackfillRequest, context: "Context") -> pb2.GetBackfillResponse:
        """Return the progress of a backfill."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        if not current_caller().may_see(tenant_id):
            raise TenantNotFound.of(tenant_id)
        row = await self._backfills.get(tenant_id)
        return pb2.GetBackfillResponse(backfill=None if row is None else message_of(row))

    @override
    async def CancelBackfill(
        self, request: pb2.CancelBackfillRequest, context: "Context"
    ) -> pb2.CancelBackfillResponse:
        """End the running backfill."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        if not current_caller().may_see(tenant_id):
            raise TenantNotFound.of(tenant_id)
        row = await self._backfills.cancel(tenant_id)
        return pb2.CancelBackfillResponse(backfill=None if row is None else message_of(row))

    @override
    async def GetPipelineStatus(
        self, request: pb2.GetPipelineStatusRequest, context: "Context"
    ) -> pb2.GetPipelineStatusResponse:
        """Return the state of the pipeline."""
        if not 0 <= request.max_tenants <= MAX_TENANTS:
            raise FieldInvalid.of("max_tenants", f"must be 0 to {MAX_TENANTS}")
        return await self._pipeline.status(request.max_tenants, scope_of(current_caller()))


def _check_range(request: pb2.ReplayEventsRequest) -> None:
    """Refuse a request that selects nothing, and thereby all events: it is more often a mistake than a wish."""
    ranges = (request.from_cursor, request.to_cursor, request.filter.ByteSize())
    if not (any(ranges) or request.HasField("received_from") or request.HasField("received_before") or request.dry_run):
        raise FieldInvalid.of("from_cursor", 'is required without a range or filter; "earliest" replays all events')
