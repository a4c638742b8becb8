"""The statements over the places of filters in the event stream."""

from services.meshkit import db

_READ = "SELECT position FROM workflows.positions WHERE workflow = $1"
_BEGIN = "INSERT INTO workflows.positions (workflow, position) VALUES ($1, $2) ON CONFLICT (workflow) DO NOTHING"
_MOVE = "UPDATE workflows.positions SET position = $3 WHERE workflow = $1 AND position = $2"


async def read(connection: db.Connection, workflow: str) -> str:
    """Read the position of a workflow's filter; empty if it has none."""
    return await connection.fetchval(_READ, workflow) or ""


async def begin(connection: db.Connection, workflow: str, position: str) -> None:
    """Store the first position, unless there is one."""
    await connection.execute(_BEGIN, workflow, position)


async def move(connection: db.Connection, workflow: str, before: str, after: str) -> bool:
    """Move a position; False if another process has moved it."""
    return bool(db.affected(await connection.execute(_MOVE, workflow, before, after)))
