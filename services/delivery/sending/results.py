"""Record attempts: in one transaction, and only while the endpoint is still held."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from services.delivery import metrics
from services.delivery.sending.attempt import Tried
from services.delivery.sending.notices import note_change
from services.delivery.sending.schedule import Schedule, after, ended_outage
from services.delivery.store import attempts, deliveries, endpoints, leases
from services.delivery.store.rows import AttemptRow, EndpointRow, State
from services.meshkit import db

logger = structlog.get_logger(__name__)


async def record(
    pool: db.Pool, lease_id: str, endpoint_id: str, tried: Sequence[Tried], schedule: Schedule, now: datetime
) -> EndpointRow | None:
    """Commit attempts, the fate of their deliveries, and the state of the endpoint.

    Args:
        pool: Connections to PostgreSQL.
        lease_id: The lease under which the attempts were made.
        endpoint_id: The endpoint.
        tried: The attempts, in the order in which they ended.
        schedule: The times of attempts.
        now: The present.

    Returns:
        The endpoint afterwards. None when the lease is lost: nothing is written, and the attempts are made again.
    """
    async with db.transaction(pool) as connection:
        row = await leases.held(connection, lease_id, endpoint_id, lock=True)
        if row is None:
            return None
        # A tenant that left the filter, or was erased, while its request was under way leaves no trace here. Of a
        # commit that is repeated, the delivered ones have left the queue, and their attempts are kept already.
        queued = await deliveries.held(connection, endpoint_id, [one.delivery.event_id for one in tried])
        kept = [one for one in tried if one.delivery.event_id in queued and row.covers(one.delivery.tenant_id)]
        rows = [await _one(connection, endpoint_id, one, schedule, now) for one in kept if not one.row.is_delivered]
        await _delivered(connection, endpoint_id, [one for one in kept if one.row.is_delivered])
        await attempts.insert(connection, endpoint_id, [*rows, *(one.row for one in kept if one.row.is_delivered)])
        outcomes = [one.outcome for one in tried]
        values = after(row, outcomes, schedule, now)
        if since := ended_outage(row, outcomes, now):
            # While the receiver was away, the schedule pushed deliveries hours ahead. Those that it refused before that
            # keep their schedule: they would use up their attempts.
            await deliveries.let_go_since(connection, endpoint_id, since)
        changed = await endpoints.note(connection, endpoint_id, values)
        await note_change(connection, row, changed, now)
    _tell(row, changed)
    return changed


async def _delivered(connection: db.Connection, endpoint_id: str, done: Sequence[Tried]) -> None:
    if not done:
        return
    await deliveries.finish(connection, endpoint_id, [one.delivery.event_id for one in done])
    again = [one.delivery.order_key for one in done if one.delivery.attempts]
    if again:  # Only behind an earlier failure can a message's later events have been held back.
        await deliveries.let_go(connection, endpoint_id, again)


async def _one(
    connection: db.Connection, endpoint_id: str, one: Tried, schedule: Schedule, now: datetime
) -> AttemptRow:
    failed = one.delivery
    at = schedule.next_attempt(failed.attempts + 1, now, one.outcome.asked)
    if at is None:
        await deliveries.exhaust(connection, endpoint_id, failed, now)
        await deliveries.let_go(connection, endpoint_id, [failed.order_key])
        metrics.EXHAUSTED.inc()
        logger.warning("delivery exhausted", endpoint_id=endpoint_id, event_id=failed.event_id, reason=one.row.reason)
    else:
        await deliveries.postpone(connection, endpoint_id, failed, now, at)
    return replace(one.row, next_attempt_at=at)


def _tell(before: EndpointRow, now: EndpointRow) -> None:
    if before.state is now.state:
        return
    if now.state in (State.DISABLED, State.GONE):
        metrics.ENDPOINTS_ENDED.labels(now.state.name.lower()).inc()
    logger.warning("endpoint changed", endpoint_id=now.endpoint_id, state=now.state.name.lower(), reason=now.reason)
