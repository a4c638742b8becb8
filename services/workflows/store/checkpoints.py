"""The statements over the checkpoints of runs. A process without the lease of a run can write none of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.meshkit import db
from services.workflows.store.rows import Lease

# A checkpoint is progress: attempts are counted from it on. The update also locks the run against its cancellation.
_PUT = """
    WITH held AS (
        UPDATE workflows.runs SET attempts = 0 WHERE tenant_id = $1 AND run_id = $2 AND lease_id = $3 RETURNING run_id)
    INSERT INTO workflows.checkpoints (tenant_id, run_id, namespace, checkpoint_id, parent_id, sealed)
    SELECT $1, $2, $4, $5, $6, $7 FROM held
    ON CONFLICT (tenant_id, run_id, namespace, checkpoint_id) DO UPDATE SET sealed = excluded.sealed
"""
_PUT_WRITES = """
    WITH held AS (
        SELECT FROM workflows.runs WHERE tenant_id = $1 AND run_id = $2 AND lease_id = $3 FOR SHARE)
    INSERT INTO workflows.writes
        (tenant_id, run_id, namespace, checkpoint_id, task_id, task_path, place, channel, sealed)
    SELECT $1, $2, $4, $5, $6, $7, w.place, w.channel, w.sealed
    FROM held, unnest($8::int[], $9::text[], $10::bytea[]) AS w (place, channel, sealed)
    ON CONFLICT (tenant_id, run_id, namespace, checkpoint_id, task_id, place)
    DO UPDATE SET channel = excluded.channel, sealed = excluded.sealed WHERE workflows.writes.place < 0
"""
_HELD = "SELECT EXISTS (SELECT FROM workflows.runs WHERE tenant_id = $1 AND run_id = $2 AND lease_id = $3)"
_GET = """
    SELECT namespace, checkpoint_id, parent_id, sealed FROM workflows.checkpoints
    WHERE tenant_id = $1 AND run_id = $2 AND namespace = $3 AND ($4 = '' OR checkpoint_id = $4)
    ORDER BY checkpoint_id DESC LIMIT 1
"""
_PAGE = """
    SELECT namespace, checkpoint_id, parent_id, sealed FROM workflows.checkpoints
    WHERE tenant_id = $1 AND run_id = $2 AND ($3::text IS NULL OR namespace = $3)
        AND ($4 = '' OR checkpoint_id = $4) AND ($5 = '' OR checkpoint_id < $5)
    ORDER BY checkpoint_id DESC
"""
_WRITES = """
    SELECT task_id, place, task_path, channel, sealed FROM workflows.writes
    WHERE tenant_id = $1 AND run_id = $2 AND namespace = $3 AND checkpoint_id = $4
    ORDER BY task_path COLLATE "C", task_id COLLATE "C", place
"""
_DELETE = (
    "DELETE FROM workflows.checkpoints WHERE tenant_id = $1 AND run_id = $2",
    "DELETE FROM workflows.writes WHERE tenant_id = $1 AND run_id = $2",
)


@dataclass(frozen=True)
class CheckpointRow:
    """A checkpoint.

    Args:
        namespace: The graph within the run; empty for the outermost.
        checkpoint_id: Its id, which grows with time.
        parent_id: The checkpoint before it; empty for the first.
        sealed: The state with its metadata.
    """

    namespace: str
    checkpoint_id: str
    parent_id: str
    sealed: bytes


@dataclass(frozen=True)
class WriteRow:
    """A result of a step that is not part of a checkpoint yet.

    Args:
        task_id: The step.
        place: The place among the step's results; below zero for the engine's own, which replace each other.
        task_path: The place of the step in the graph.
        channel: The field of the state.
        sealed: The value.
    """

    task_id: str
    place: int
    task_path: str
    channel: str
    sealed: bytes


async def put(connection: db.Connection, lease: Lease, row: CheckpointRow) -> bool:
    """Store a checkpoint; False if the lease has ended."""
    owner = (lease.tenant_id, lease.run_id, lease.lease_id)
    status = await connection.execute(_PUT, *owner, row.namespace, row.checkpoint_id, row.parent_id, row.sealed)
    return bool(db.affected(status))


async def put_writes(
    connection: db.Connection, lease: Lease, namespace: str, checkpoint_id: str, rows: Sequence[WriteRow]
) -> bool:
    """Store results of one step; those that are stored stay, except the engine's own. False if the lease has ended."""
    owner = (lease.tenant_id, lease.run_id, lease.lease_id)
    columns = ([row.place for row in rows], [row.channel for row in rows], [row.sealed for row in rows])
    task = (rows[0].task_id, rows[0].task_path)
    status = await connection.execute(_PUT_WRITES, *owner, namespace, checkpoint_id, *task, *columns)
    return bool(db.affected(status)) or bool(await connection.fetchval(_HELD, *owner))


async def get(
    connection: db.Connection, tenant_id: str, run_id: str, namespace: str, checkpoint_id: str
) -> CheckpointRow | None:
    """Read a checkpoint; an empty id means the newest."""
    found = await connection.fetchrow(_GET, tenant_id, run_id, namespace, checkpoint_id)
    return CheckpointRow(**found) if found else None


async def page(
    connection: db.Connection, tenant_id: str, run_id: str, namespace: str | None, checkpoint_id: str, before: str
) -> list[CheckpointRow]:
    """Read a run's checkpoints, newest first; None and empty values select all."""
    found = await connection.fetch(_PAGE, tenant_id, run_id, namespace, checkpoint_id, before)
    return [CheckpointRow(**one) for one in found]


async def writes(
    connection: db.Connection, tenant_id: str, run_id: str, namespace: str, checkpoint_id: str
) -> list[WriteRow]:
    """Read the results behind a checkpoint, in the engine's order."""
    found = await connection.fetch(_WRITES, tenant_id, run_id, namespace, checkpoint_id)
    return [WriteRow(**one) for one in found]


async def delete(connection: db.Connection, tenant_id: str, run_id: str) -> None:
    """Delete a run's checkpoints, in the caller's transaction."""
    for statement in _DELETE:
        await connection.execute(statement, tenant_id, run_id)
