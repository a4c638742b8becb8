"""Places that Ingest keeps by name: how far something was read, or what was last seen of it."""

from services.ingest.store.connections import Connection

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('ingest.' || $1, 0))"
_READ = "SELECT cursor FROM ingest.cursors WHERE name = $1"
_MOVE = """
INSERT INTO ingest.cursors (name, cursor) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, updated_at = now()
"""


async def locked(connection: Connection, name: str) -> str | None:
    """Reads a place that nobody else moves until the transaction ends; None when there is none yet."""
    await connection.execute(_LOCK, name)
    return await read(connection, name)


async def read(connection: Connection, name: str) -> str | None:
    """Reads a place; None when there is none yet."""
    found: str | None = await connection.fetchval(_READ, name)
    return found


async def move(connection: Connection, name: str, cursor: str) -> None:
    """Moves a place."""
    await connection.execute(_MOVE, name, cursor)
