"""The statements over runs."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta

import asyncpg

from services.meshkit import db
from services.workflows.store import checkpoints
from services.workflows.store.rows import Lease, RunRow, State

_NAMES = tuple(field.name for field in fields(RunRow))
_COLUMNS = ", ".join(_NAMES)
_IDS = ("tenant_id", "run_id", "event_id")
_INSERT = f"""
    INSERT INTO workflows.runs
        (tenant_id, run_id, workflow, event_id, state, created_at, updated_at, due_at, deadline_at)
    VALUES ($1, $2, $3, $4, {State.QUEUED:d}, now(), now(), now(), now() + $5)
    ON CONFLICT (tenant_id, workflow, event_id) DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_OF_EVENT = f"""
    SELECT {_COLUMNS} FROM workflows.runs WHERE tenant_id = $1 AND workflow = $2 AND event_id = $3
"""  # noqa: S608 - constants
_QUEUED = f"SELECT count(*) FROM (SELECT FROM workflows.runs WHERE state = {State.QUEUED:d} LIMIT $1) AS queued"  # noqa: S608
_GET = f"""
    SELECT {_COLUMNS} FROM workflows.runs WHERE ($1::uuid[] IS NULL OR tenant_id = ANY($1)) AND run_id = $2 {{}}
"""  # noqa: S608 - constants
_PAGE = f"""
    SELECT {_COLUMNS} FROM workflows.runs
    WHERE ($1::uuid[] IS NULL OR tenant_id = ANY($1)) AND ($2::uuid IS NULL OR run_id < $2)
        AND ($3 = '' OR workflow = $3) AND ($4 = 0 OR state = $4)
    ORDER BY run_id DESC LIMIT $5
"""  # noqa: S608 - constants
_CLAIM = f"""
    UPDATE workflows.runs SET state = {State.RUNNING:d}, lease_id = $1, leased_until = now() + $2,
        attempts = attempts + 1, updated_at = now()
    WHERE (tenant_id, run_id) IN (
        SELECT tenant_id, run_id FROM workflows.runs
        WHERE state IN ({State.QUEUED:d}, {State.RUNNING:d}) AND due_at <= now()
            AND (leased_until IS NULL OR leased_until < now()) AND workflow = ANY($3::text[])
        ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_EXTEND = """
    UPDATE workflows.runs SET leased_until = now() + $4 WHERE tenant_id = $1 AND run_id = $2 AND lease_id = $3
"""
_RETURN = f"""
    UPDATE workflows.runs SET state = {State.QUEUED:d}, due_at = now() + $4, attempts = attempts - $5, reason = $6,
        detail = $7, lease_id = NULL, leased_until = NULL, updated_at = now()
    WHERE tenant_id = $1 AND run_id = $2 AND lease_id = $3
"""  # noqa: S608 - constants
_ASK = f"""
    UPDATE workflows.runs SET state = {State.WAITING:d}, question_id = $4, sealed_question = $5, sealed_answer = NULL,
        deadline_at = now() + $6, reason = '', detail = '', attempts = 0, lease_id = NULL, leased_until = NULL,
        revision = revision + 1, updated_at = now()
    WHERE tenant_id = $1 AND run_id = $2 AND lease_id = $3 RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_ANSWER = f"""
    UPDATE workflows.runs SET state = {State.QUEUED:d}, sealed_question = NULL, sealed_answer = $3, due_at = now(),
        deadline_at = now() + $4, revision = revision + 1, updated_at = now()
    WHERE tenant_id = $1 AND run_id = $2 RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_FINISH = f"""
    UPDATE workflows.runs SET state = $3, reason = $4, detail = $5, sealed_question = NULL, sealed_answer = NULL,
        finished_at = now(), lease_id = NULL, leased_until = NULL, revision = revision + 1, updated_at = now()
    WHERE tenant_id = $1 AND run_id = $2 AND finished_at IS NULL AND ($6::uuid IS NULL OR lease_id = $6)
    RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_OVERDUE = f"""
    SELECT {_COLUMNS} FROM workflows.runs WHERE finished_at IS NULL AND deadline_at < now()
    ORDER BY deadline_at LIMIT $1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants
_OLD = """
    DELETE FROM workflows.runs WHERE (tenant_id, run_id) IN (
        SELECT tenant_id, run_id FROM workflows.runs WHERE finished_at < now() - $1::interval LIMIT $2)
"""


async def insert(
    connection: db.Connection, tenant_id: str, run_id: str, workflow: str, event_id: str, time_limit: timedelta
) -> RunRow | None:
    """Insert a run; None if the workflow has one for the event."""
    return _row(await connection.fetchrow(_INSERT, tenant_id, run_id, workflow, event_id, time_limit))


async def of_event(connection: db.Connection, tenant_id: str, workflow: str, event_id: str) -> RunRow | None:
    """Read the run of a workflow for an event."""
    return _row(await connection.fetchrow(_OF_EVENT, tenant_id, workflow, event_id))


async def count_queued(connection: db.Connection, most: int) -> int:
    """Count the runs that wait for their turn, `most` at most."""
    return int(await connection.fetchval(_QUEUED, most))


async def get(
    connection: db.Connection, tenants: Sequence[str] | None, run_id: str, *, lock: bool = False
) -> RunRow | None:
    """Read a run of the tenants in scope; None for them means all. `lock` locks it until the transaction ends."""
    return _row(await connection.fetchrow(_GET.format("FOR UPDATE" if lock else ""), tenants, run_id))


async def page(
    connection: db.Connection, tenants: Sequence[str] | None, before: str | None, workflow: str, state: int, count: int
) -> list[RunRow]:
    """Read runs, newest first.

    Args:
        connection: A connection to PostgreSQL.
        tenants: The tenants in scope; None means all.
        before: The run that ended the previous page, or None.
        workflow: Only runs of it; empty means all.
        state: Only runs in it; 0 means all.
        count: The largest number of runs.
    """
    found = await connection.fetch(_PAGE, tenants, before, workflow, state, count)
    return [row for one in found if (row := _row(one))]


async def claim(
    connection: db.Connection, lease_id: str, duration: timedelta, workflows: Sequence[str], count: int
) -> list[RunRow]:
    """Lease runs that are due, also those whose process died, and count the attempt."""
    found = await connection.fetch(_CLAIM, lease_id, duration, workflows, count)
    return [row for one in found if (row := _row(one))]


async def extend(connection: db.Connection, lease: Lease, duration: timedelta) -> bool:
    """Extend a lease; False if the run has another holder, was cancelled or has ended."""
    status = await connection.execute(_EXTEND, lease.tenant_id, lease.run_id, lease.lease_id, duration)
    return bool(db.affected(status))


async def give_back(
    connection: db.Connection, lease: Lease, pause: timedelta, *, uncounted: int = 0, reason: str = "", detail: str = ""
) -> None:
    """End a lease, so that the run continues after a pause. `uncounted` attempts are taken back."""
    owner = (lease.tenant_id, lease.run_id, lease.lease_id)
    await connection.execute(_RETURN, *owner, pause, uncounted, reason, detail)


async def ask(
    connection: db.Connection, lease: Lease, question_id: str, sealed: bytes, wait: timedelta
) -> RunRow | None:
    """Make a run wait for an answer; None if the lease has ended."""
    owner = (lease.tenant_id, lease.run_id, lease.lease_id)
    return _row(await connection.fetchrow(_ASK, *owner, question_id, sealed, wait))


async def answer(connection: db.Connection, row: RunRow, sealed: bytes, time_limit: timedelta) -> RunRow | None:
    """Make a waiting run, which the caller has locked, continue with an answer."""
    return _row(await connection.fetchrow(_ANSWER, row.tenant_id, row.run_id, sealed, time_limit))


async def finish(
    connection: db.Connection, row: RunRow, state: State, reason: str, detail: str, lease_id: str | None
) -> RunRow | None:
    """End a run, and delete its checkpoints in the same transaction.

    Args:
        connection: The transaction.
        row: The run.
        state: Its last state.
        reason: The cause of the end; empty on success.
        detail: Where that happened.
        lease_id: The lease that must hold still; None ends the run whichever process holds it.

    Returns:
        The run; None if it had ended, or the lease has.
    """
    ended = await connection.fetchrow(_FINISH, row.tenant_id, row.run_id, state, reason, detail, lease_id)
    if ended is not None:
        await checkpoints.delete(connection, row.tenant_id, row.run_id)
    return _row(ended)


async def overdue(connection: db.Connection, count: int) -> list[RunRow]:
    """Lock runs that are past their deadline."""
    return [row for one in await connection.fetch(_OVERDUE, count) if (row := _row(one))]


async def delete_old(connection: db.Connection, age: timedelta, count: int) -> int:
    """Delete runs that ended long ago; return their number."""
    return db.affected(await connection.execute(_OLD, age, count))


def _row(found: asyncpg.Record | None) -> RunRow | None:
    if found is None:
        return None
    values = dict(found)
    values |= {name: str(values[name]) for name in _IDS}
    return RunRow(**values | {"state": State(values["state"])})
