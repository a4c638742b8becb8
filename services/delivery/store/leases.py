"""The statements over leases: one process at a time delivers to an endpoint."""

from collections.abc import Sequence
from datetime import timedelta

from services.delivery.store.endpoints import COLUMNS, delivering, row
from services.delivery.store.rows import EndpointRow
from services.meshkit import db

_CLAIM = f"""
    UPDATE delivery.endpoints SET lease_id = $1, leased_until = now() + $2::interval
    WHERE endpoint_id IN (
        SELECT endpoint_id FROM delivery.endpoints
        WHERE deleted_at IS NULL AND state = ANY($3::smallint[]) AND (leased_until IS NULL OR leased_until < now())
        ORDER BY leased_until NULLS FIRST LIMIT $4 FOR UPDATE SKIP LOCKED
    ) RETURNING {COLUMNS}
"""  # noqa: S608 - constants
_EXTEND = """
    UPDATE delivery.endpoints SET leased_until = now() + $2::interval WHERE lease_id = $1 AND leased_until > now()
"""
_REVISIONS = "SELECT endpoint_id, revision FROM delivery.endpoints WHERE lease_id = $1 AND leased_until > now()"
_HELD = f"SELECT {COLUMNS} FROM delivery.endpoints WHERE endpoint_id = $2 AND lease_id = $1 AND leased_until > now()"  # noqa: S608
_RELEASE = """
    UPDATE delivery.endpoints SET lease_id = NULL, leased_until = NULL
    WHERE lease_id = $1 AND ($2::uuid[] IS NULL OR endpoint_id = ANY($2))
"""


async def claim(connection: db.Connection, lease_id: str, duration: timedelta, limit: int) -> list[EndpointRow]:
    """Lease endpoints that no process holds, longest unheld first."""
    return [row(found) for found in await connection.fetch(_CLAIM, lease_id, duration, delivering(), limit)]


async def extend(connection: db.Connection, lease_id: str, duration: timedelta) -> None:
    """Extend all leases of a process that have not ended."""
    await connection.execute(_EXTEND, lease_id, duration)


async def revisions(connection: db.Connection, lease_id: str) -> dict[str, int]:
    """Read the endpoints that a process holds, with their revisions."""
    return {str(found["endpoint_id"]): found["revision"] for found in await connection.fetch(_REVISIONS, lease_id)}


async def held(connection: db.Connection, lease_id: str, endpoint_id: str, *, lock: bool = False) -> EndpointRow | None:
    """Read an endpoint if the process holds it; locked, it stays held until the end of the transaction."""
    found = await connection.fetchrow(_HELD + (" FOR UPDATE" if lock else ""), lease_id, endpoint_id)
    return None if found is None else row(found)


async def release(connection: db.Connection, lease_id: str, endpoint_ids: Sequence[str] | None = None) -> None:
    """Give leases back: those of some endpoints, or all of the process."""
    await connection.execute(_RELEASE, lease_id, endpoint_ids)
