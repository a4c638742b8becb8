"""The statements over changes of runs that Processor has not published yet."""

from collections.abc import Sequence

from services.meshkit import db

_INSERT = """
    INSERT INTO workflows.notices (tenant_id, notice_id, content) VALUES ($1, $2, $3)
    ON CONFLICT (tenant_id, notice_id) DO NOTHING
"""
_OLDEST = "SELECT notice_id, content FROM workflows.notices ORDER BY sequence LIMIT $1"
_DELETE = "DELETE FROM workflows.notices WHERE notice_id = ANY($1::uuid[])"


async def insert(connection: db.Connection, tenant_id: str, notice_id: str, content: bytes) -> None:
    """Keep a change, in the transaction of the change."""
    await connection.execute(_INSERT, tenant_id, notice_id, content)


async def oldest(connection: db.Connection, limit: int) -> list[tuple[str, bytes]]:
    """Read the oldest changes: their ids and their contents."""
    return [(str(row["notice_id"]), row["content"]) for row in await connection.fetch(_OLDEST, limit)]


async def delete(connection: db.Connection, notice_ids: Sequence[str]) -> None:
    """Delete changes that are published."""
    await connection.execute(_DELETE, notice_ids)
