"""The statements over worker processes."""

from datetime import datetime, timedelta

from services.meshkit import db

_FORGET_AFTER = timedelta(days=1)


async def show(connection: db.Connection, worker_id: str, started_at: datetime, held: int) -> None:
    """Store that a worker is alive; delete those that were not seen for a day."""
    await connection.execute(
        """
        INSERT INTO processor.workers (worker_id, started_at, seen_at, tenants_held) VALUES ($1, $2, now(), $3)
        ON CONFLICT (worker_id) DO UPDATE SET seen_at = now(), tenants_held = excluded.tenants_held
        """,
        worker_id,
        started_at,
        held,
    )
    await connection.execute("DELETE FROM processor.workers WHERE seen_at < now() - $1::interval", _FORGET_AFTER)


async def leave(connection: db.Connection, worker_id: str) -> None:
    """Delete a worker that has ended."""
    await connection.execute("DELETE FROM processor.workers WHERE worker_id = $1", worker_id)
