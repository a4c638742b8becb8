"""Writes dead letters: a buried item leaves the inbox, and its mailbox gets a gap that a reconciliation closes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mailmesh.errors.v1.error_reason_pb2 import ErrorReason
from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from services.ingest.metrics import BURIED
from services.ingest.store.attempt_history import appended
from services.ingest.store.items import Kind
from services.ingest.store.reconciles import ReconcileRequest, enqueue
from services.meshkit import db
from services.meshkit.ids import new_id

# Mail may have arrived a little before its notification.
_GAP_MARGIN: Final = timedelta(minutes=10)
# A reconciliation that was itself buried is retried, but not at once, which would never end.
_GAP_PAUSE: Final = timedelta(hours=1)

_LAST = appended("gone.history", "$7::timestamptz", "$8::text", "buried.reason", "buried.detail")
_BURY = f"""
WITH buried AS (
    SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[])
        AS buried (item_id, dead_letter_id, reason, detail)
), gone AS (
    DELETE FROM ingest.items WHERE tenant_id = $1 AND item_id IN (SELECT item_id FROM buried) RETURNING *
)
INSERT INTO ingest.dead_letters (dead_letter_id, tenant_id, item_id, kind, received_at, content, correlation_id,
    traceparent, attempts, history, reason, detail, buried_at)
SELECT buried.dead_letter_id, gone.tenant_id, gone.item_id, gone.kind, gone.received_at, gone.content,
    gone.correlation_id, gone.traceparent, gone.attempts + $6,
    CASE WHEN $6 = 0 THEN gone.history ELSE {_LAST} END,
    buried.reason, buried.detail, now()
FROM gone JOIN buried USING (item_id)
RETURNING kind, received_at
"""  # noqa: S608 - constants of this package
_NOTE_GAP = "UPDATE ingest.mailboxes SET gap_since = least(gap_since, $2) WHERE tenant_id = $1"
_REASONS = frozenset(name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name)


@dataclass(frozen=True, slots=True)
class Burial:
    """An item to bury, with the reason.

    Args:
        item_id: Id of the item.
        reason: A name from the error catalogue.
        detail: A sentence for people.
    """

    item_id: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class LastAttempt:
    """The attempt that ended with the burial.

    Args:
        started_at: When it began.
        worker_id: The worker that held the item.
    """

    started_at: datetime | None
    worker_id: str


async def bury(
    connection: db.Connection, tenant_id: str, burials: Sequence[Burial], attempt: LastAttempt | None
) -> dict[str, str]:
    """Turn items of a locked mailbox into dead letters.

    Args:
        connection: In a transaction.
        tenant_id: The mailbox's tenant.
        burials: The items.
        attempt: An attempt that is still to be counted; None when it is counted already.

    Returns:
        The dead letter's id by the item's.
    """
    ids = {burial.item_id: new_id() for burial in burials}
    rows = await connection.fetch(
        _BURY,
        tenant_id,
        list(ids),
        list(ids.values()),
        [burial.reason for burial in burials],
        [burial.detail for burial in burials],
        0 if attempt is None else 1,
        attempt.started_at if attempt else None,
        attempt.worker_id if attempt else "",
    )
    for burial in burials:
        BURIED.labels(burial.reason if burial.reason in _REASONS else "other").inc()
    if rows:
        await _open_gap(connection, tenant_id, [(row["kind"], row["received_at"]) for row in rows])
    return ids


async def _open_gap(connection: db.Connection, tenant_id: str, buried: Sequence[tuple[int, datetime]]) -> None:
    since = min(received_at for _, received_at in buried) - _GAP_MARGIN
    is_reconciliation_only = all(kind == Kind.RECONCILE for kind, _ in buried)
    delay = _GAP_PAUSE if is_reconciliation_only else timedelta(0)
    await connection.execute(_NOTE_GAP, tenant_id, since)
    await enqueue(
        connection, tenant_id, ReconcileRequest(ReconcileReason.RECONCILE_REASON_GAP, since=since, delay=delay)
    )
