"""The statements over changes of tenants, for the workers that keep their tokens."""

from services.meshkit import db


async def changed_since(connection: db.Connection, number: int, limit: int) -> list[tuple[str, int]]:
    """Read the tenants that changed after a number, with their numbers, in order."""
    rows = await connection.fetch(
        "SELECT tenant_id, change_number FROM processor.tenants "
        "WHERE change_number > $1 ORDER BY change_number LIMIT $2",
        number,
        limit,
    )
    return [(str(row["tenant_id"]), row["change_number"]) for row in rows]


async def newest_change(connection: db.Connection) -> int:
    """Read the number of the newest change."""
    return int(await connection.fetchval("SELECT coalesce(max(change_number), 0) FROM processor.tenants"))
