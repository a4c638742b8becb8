"""The statements over backfills: a tenant has one, which is running or was the last."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from mailmesh.processor.v1 import processor_service_pb2 as pb2
from services.meshkit import db
from services.processor.mailbox.store.due_queues import DueQueue

RUNNING, FINISHED, FAILED, CANCELLED = (
    pb2.BACKFILL_STATE_RUNNING,
    pb2.BACKFILL_STATE_FINISHED,
    pb2.BACKFILL_STATE_FAILED,
    pb2.BACKFILL_STATE_CANCELLED,
)
DUE = DueQueue("backfills", "SELECT tenant_id, due_at FROM processor.backfills WHERE due_at <= now()")
"""The backfills whose next step is due."""


@dataclass(frozen=True)
class BackfillRow:
    """A backfill.

    Args:
        tenant_id: The tenant.
        provider: "ms365" or "googlews".
        state: RUNNING, FINISHED, FAILED or CANCELLED.
        since: The time from which mail is published.
        until: When it was begun; newer mail is that of the subscriptions.
        reached_at: Everything newer was read, up to `until`.
        progressed_at: When `reached_at` moved last, or when it was begun.
        link: The next page of the list up to `reached_at`, once a page of it has not got below that second.
        done_from: The time that the backfill before it reached when it was cut, or None.
        done_until: The end of that one, or None: everything between the two is read.
        messages: The mails that were listed so far.
        is_cut: Whether it ended at the bound of mails before it reached `since`.
        failures: The failures in a row.
        reason: The reason of the last failure, from the error catalogue; empty after a success.
        detail: A sentence about it.
        correlation_id: The correlation id of the call.
        finished_at: When it ended, or None.
    """

    tenant_id: str
    provider: str
    state: int
    since: datetime
    until: datetime
    reached_at: datetime
    progressed_at: datetime
    link: str
    done_from: datetime | None
    done_until: datetime | None
    messages: int
    is_cut: bool
    failures: int
    reason: str
    detail: str
    correlation_id: str
    finished_at: datetime | None


_NAMES = [field.name for field in fields(BackfillRow)]
_COLUMNS = ", ".join(_NAMES)


async def start(
    connection: db.Connection, tenant_id: str, provider: str, since: datetime, now: datetime, correlation_id: str
) -> bool:
    """Begin a backfill in the place of the last one; return False when one is running, which goes on.

    One that was cut has read its range. A backfill that reaches back behind that range passes over it, so that the
    bound of mails stops it at an earlier time each time.
    """
    return bool(
        await connection.fetchval(
            """
            INSERT INTO processor.backfills AS b
                (tenant_id, provider, state, since, until, reached_at, progressed_at, correlation_id, due_at)
            VALUES ($1, $2, $3, $4, $5, $5, $5, $6, $5)
            ON CONFLICT (tenant_id) DO UPDATE SET
                provider = excluded.provider, state = excluded.state, since = excluded.since, until = excluded.until,
                reached_at = excluded.reached_at, progressed_at = excluded.progressed_at, link = '',
                done_from = CASE WHEN b.is_cut AND b.provider = excluded.provider AND excluded.since <= b.reached_at
                    THEN b.reached_at END,
                done_until = CASE WHEN b.is_cut AND b.provider = excluded.provider AND excluded.since <= b.reached_at
                    THEN b.until END,
                messages = 0, is_cut = false, failures = 0, reason = '', detail = '',
                correlation_id = excluded.correlation_id, due_at = excluded.due_at, finished_at = NULL
            WHERE b.state <> $3 RETURNING true
            """,
            tenant_id, provider, RUNNING, since, now, correlation_id,
        )
    )  # fmt: skip


async def read(connection: db.Connection, tenant_id: str) -> BackfillRow | None:
    """Read the tenant's backfill; None where there was none yet."""
    found = await connection.fetchrow(f"SELECT {_COLUMNS} FROM processor.backfills WHERE tenant_id = $1", tenant_id)  # noqa: S608
    return None if found is None else BackfillRow(**{**found, "tenant_id": str(found["tenant_id"])})


async def cancel(connection: db.Connection, tenant_id: str, now: datetime) -> bool:
    """End the running backfill of a tenant; return whether there was one. A worker's later change finds none."""
    found = await connection.execute(
        "UPDATE processor.backfills SET state = $2, due_at = NULL, finished_at = $3, reason = '', detail = '',"
        " link = '' WHERE tenant_id = $1 AND finished_at IS NULL",
        tenant_id,
        CANCELLED,
        now,
    )
    return db.affected(found) > 0


async def change(connection: db.Connection, row: BackfillRow, values: Mapping[str, Any]) -> bool:
    """Change a running backfill; return False when it has ended, or another one took its place."""
    names = ", ".join(f"{name} = ${number}" for number, name in enumerate(values, 3))
    changed = await connection.execute(
        f"UPDATE processor.backfills SET {names} WHERE tenant_id = $1 AND until = $2 AND finished_at IS NULL",  # noqa: S608
        row.tenant_id,
        row.until,
        *values.values(),
    )
    return db.affected(changed) > 0
