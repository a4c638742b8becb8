"""The changes of a run's state, each with its event in one transaction."""

from datetime import UTC, timedelta
from uuid import UUID, uuid5

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.workflows.metrics import ENDED
from services.workflows.store import notices, runs
from services.workflows.store.rows import Lease, RunRow, State

_TYPES = {
    State.WAITING: "workflow.waiting",
    State.SUCCEEDED: "workflow.succeeded",
    State.FAILED: "workflow.failed",
    State.CANCELLED: "workflow.cancelled",
}


async def ask(
    connection: db.Connection, lease: Lease, question_id: str, sealed: bytes, wait: timedelta
) -> RunRow | None:
    """Make a run wait for a person; None if the lease has ended. For the caller's transaction."""
    row = await runs.ask(connection, lease, question_id, sealed, wait)
    if row is not None:
        await _publish_later(connection, row)
    return row


async def finish(
    connection: db.Connection,
    row: RunRow,
    state: State,
    *,
    reason: str = "",
    detail: str = "",
    lease_id: str | None = None,
) -> RunRow | None:
    """End a run; None if it had ended, or the lease has. For the caller's transaction."""
    ended = await runs.finish(connection, row, state, reason, detail, lease_id)
    if ended is not None:
        await _publish_later(connection, ended)
        ENDED.labels(ended.workflow, state.name.lower()).inc()
    return ended


async def _publish_later(connection: db.Connection, row: RunRow) -> None:
    event = event_pb2.WorkflowEvent(
        event_type=_TYPES[row.state],
        tenant_id=row.tenant_id,
        run_id=row.run_id,
        workflow=row.workflow,
        subject_event_id=row.event_id,
        reason=row.reason,
    )
    event.received_at.FromDatetime(row.updated_at.astimezone(UTC))
    notice_id = str(uuid5(UUID(row.run_id), f"{event.event_type} {row.revision}"))
    await notices.insert(connection, row.tenant_id, notice_id, event.SerializeToString())
