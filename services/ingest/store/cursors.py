"""Cursors that Ingest keeps by name: how far a log was read, or the last value seen."""

from services.meshkit import db

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('ingest.' || $1, 0))"
_READ = "SELECT cursor FROM ingest.cursors WHERE name = $1"
_MOVE = """
INSERT INTO ingest.cursors (name, cursor) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, updated_at = now()
"""


async def lock(connection: db.Connection, name: str) -> str | None:
    """Read a cursor and lock it until the transaction ends; None when there is none yet."""
    await connection.execute(_LOCK, name)
    return await read(connection, name)


async def read(connection: db.Connection, name: str) -> str | None:
    """Read a cursor; None when there is none yet."""
    found: str | None = await connection.fetchval(_READ, name)
    return found


async def move(connection: db.Connection, name: str, cursor: str) -> None:
    """Store a cursor."""
    await connection.execute(_MOVE, name, cursor)
