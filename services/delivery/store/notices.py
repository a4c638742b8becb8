"""The statements over notices: warnings about endpoints that Processor has not published yet."""

from collections.abc import Sequence

from services.meshkit import db

_INSERT = """
    INSERT INTO delivery.notices (notice_id, endpoint_id, content) VALUES ($1, $2, $3)
    ON CONFLICT (notice_id) DO NOTHING
"""
_OLDEST = "SELECT notice_id, content FROM delivery.notices ORDER BY sequence LIMIT $1"
_DELETE_SURPLUS = """
    WITH surplus AS (
        DELETE FROM delivery.notices
        WHERE sequence <= (SELECT sequence FROM delivery.notices ORDER BY sequence DESC OFFSET $1 LIMIT 1)
        RETURNING 1
    )
    SELECT count(*) FROM surplus
"""


async def insert(connection: db.Connection, notice_id: str, endpoint_id: str, content: bytes) -> None:
    """Keep a notice. Safe to call again."""
    await connection.execute(_INSERT, notice_id, endpoint_id, content)


async def oldest(connection: db.Connection, limit: int) -> list[tuple[str, bytes]]:
    """Read the oldest notices, with their ids."""
    return [(str(one["notice_id"]), one["content"]) for one in await connection.fetch(_OLDEST, limit)]


async def delete(connection: db.Connection, notice_ids: Sequence[str]) -> None:
    """Delete notices that are published or refused. Safe to call again."""
    await connection.execute("DELETE FROM delivery.notices WHERE notice_id = ANY($1::uuid[])", notice_ids)


async def delete_surplus(connection: db.Connection, kept: int) -> int:
    """Delete the oldest notices beyond a number of kept ones; return the number of deleted ones."""
    return int(await connection.fetchval(_DELETE_SURPLUS, kept))
