"""The statements over sends that are due: a worker's turn at one account, postponement, and missed deadlines."""

from datetime import datetime, timedelta

from services.meshkit import db
from services.processor.mailbox.store.due_queues import DueQueue
from services.processor.outbox.rows import SendRow, State
from services.processor.outbox.store.sends import COLUMNS, UNSUBMITTED_STATES, row_of
from services.processor.stream.contents import CONTENTS

DUE_BYTES = 2 * 1024 * 1024
"""The size at which a worker's turn at one mailbox ends, in bytes of its sends; a turn has one send at least."""
DUE = DueQueue(
    "sends",
    f"""
    SELECT s.tenant_id, s.due_at FROM processor.sends s
    WHERE s.due_at <= now() AND (s.state NOT IN ({", ".join(map(str, UNSUBMITTED_STATES))}) OR NOT EXISTS (
        SELECT FROM processor.mailboxes held WHERE held.tenant_id = s.tenant_id AND held.sends_held_until > now()))
    """,  # noqa: S608 - constants
)
"""The sends that are due; those that are not submitted yet only while the tenant's sends are not held back."""
_PACE = """
    SELECT count(*) AS submitted, min(submitted_at) AS first FROM processor.sends
    WHERE tenant_id = $1 AND submitted_at > $2
"""
_DUE = f"""
    SELECT {COLUMNS} FROM (
        SELECT *, sum(octet_length(content) + octet_length(body) + octet_length(addressed))
            OVER (ORDER BY due_at, send_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM (
            SELECT * FROM processor.sends
            WHERE tenant_id = $1 AND due_at <= now() AND (state <> ALL($3::smallint[]) OR NOT EXISTS (
                SELECT FROM processor.mailboxes WHERE tenant_id = $1 AND sends_held_until > now()))
            ORDER BY due_at, send_id LIMIT $2
        ) AS first
    ) AS sized WHERE before IS NULL OR before < $4 ORDER BY due_at, send_id
"""  # noqa: S608 - constants
_OVERDUE = f"""
    SELECT {COLUMNS} FROM processor.sends s
    WHERE due_at IS NOT NULL AND state = ANY($4::smallint[]) AND tenant_id <> ALL ($5::uuid[]) AND (
        deadline_at + $1::interval < now()
        OR (state = ANY($2::smallint[]) AND EXISTS (
            SELECT FROM processor.tenants t WHERE t.tenant_id = s.tenant_id AND t.status = 'disconnected')))
    ORDER BY due_at LIMIT $3 FOR UPDATE OF s SKIP LOCKED
"""  # noqa: S608 - constants


async def due(connection: db.Connection, tenant_id: str, limit: int) -> list[SendRow]:
    """Read the due sends of one tenant, longest due first: up to a limit, and to the size that `DUE_BYTES` gives."""
    rows = await connection.fetch(_DUE, tenant_id, limit, UNSUBMITTED_STATES, DUE_BYTES)
    return [row_of(row) for row in rows]


async def postpone(connection: db.Connection, tenant_id: str, until: datetime, reason: str, detail: str) -> None:
    """Postpone all due sends of one tenant; note why on those that have no outcome yet."""
    await connection.execute(
        "UPDATE processor.sends SET due_at = $2, reason = CASE WHEN finished_at IS NULL THEN $3 ELSE reason END,"
        " detail = CASE WHEN finished_at IS NULL THEN $4 ELSE detail END WHERE tenant_id = $1 AND due_at < $2",
        tenant_id,
        until,
        reason,
        detail,
    )


async def hold_back(connection: db.Connection, tenant_id: str, until: datetime) -> None:
    """Keep the unsubmitted sends of one tenant until a time. One row changes, however many sends wait."""
    await connection.execute(
        "UPDATE processor.mailboxes SET sends_held_until = greatest(sends_held_until, $2) WHERE tenant_id = $1",
        tenant_id,
        until,
    )


async def put_off(connection: db.Connection, send_id: str, until: datetime) -> SendRow | None:
    """Postpone a due send after an unhandled failure, and note it on one that has no outcome yet; return the send."""
    found = await connection.fetchrow(
        "UPDATE processor.sends SET due_at = $2, attempts = attempts + 1,"  # noqa: S608
        " reason = CASE WHEN finished_at IS NULL THEN 'UNEXPECTED' ELSE reason END,"
        " detail = CASE WHEN finished_at IS NULL THEN '' ELSE detail END"
        f" WHERE send_id = $1 AND due_at IS NOT NULL RETURNING {COLUMNS}",
        send_id,
        until,
    )
    return None if found is None else row_of(found)


async def submitted_since(connection: db.Connection, tenant_id: str, since: datetime) -> tuple[int, datetime | None]:
    """Count the mails that an account submitted since a time, and read the time of the first of them."""
    found = await connection.fetchrow(_PACE, tenant_id, since)
    assert found is not None  # noqa: S101 - an aggregate has one row
    return found["submitted"], found["first"]


async def lock_overdue(connection: db.Connection, grace: timedelta, limit: int) -> list[SendRow]:
    """Lock sends that are past their deadline by a grace, and unsubmitted ones of disconnected tenants.

    Those of sealed tenants whose keys this process has not got wait, and hold up no other.
    """
    states = [*UNSUBMITTED_STATES, int(State.SENDING)]
    rows = await connection.fetch(_OVERDUE, grace, UNSUBMITTED_STATES, limit, states, CONTENTS.missing())
    return [row_of(row) for row in rows]
