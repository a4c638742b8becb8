"""Removal of everything that a schema holds about one tenant.

The tables are read from the database's catalogue, so that a table which is added later is not forgotten: every table
with a column `tenant_id` loses the tenant's rows, and rows that refer to them go with them.
"""

from collections.abc import Collection

import asyncpg

from services.meshkit import db

_BATCH = 500
_TABLES = """
    SELECT c.relname FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname
"""
_DELETE = """
    DELETE FROM {table} WHERE tenant_id = $1 AND (tableoid, ctid) IN (
        SELECT tableoid, ctid FROM {table} WHERE tenant_id = $1 LIMIT {batch})
"""


async def erase_rows(pool: db.Pool, schema: str, tenant_id: str, kept: Collection[str] = ()) -> dict[str, int]:
    """Delete the rows of a tenant from every table of a schema, in batches of transactions of their own.

    Args:
        pool: Connections to PostgreSQL, as the role that owns the schema.
        schema: The schema's name, one of our own.
        tenant_id: The tenant.
        kept: Tables that are not touched.

    Returns:
        The number of deleted rows by table. Rows that went with those that they referred to are not counted.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.

    Safe to call again: yes; an interrupted call is completed by the next.
    """
    async with db.connection(pool) as connection:
        tables = [row["relname"] for row in await connection.fetch(_TABLES, schema)]
    waiting = [table for table in tables if table not in kept]
    removed: dict[str, int] = {}
    while waiting:
        refused = [table for table in waiting if not await _erase(pool, schema, table, tenant_id, removed)]
        if len(refused) == len(waiting):
            msg = f"rows of {sorted(refused)} are referred to by rows without a tenant"
            raise RuntimeError(msg)
        waiting = refused
    return {table: removed[table] for table in sorted(removed) if removed[table]}


async def _erase(pool: db.Pool, schema: str, table: str, tenant_id: str, removed: dict[str, int]) -> bool:
    """Empty one table; return False when rows of another table, which is erased first then, refer to it."""
    statement = _DELETE.format(table=f'"{schema}"."{table}"', batch=_BATCH)
    count = _BATCH
    while count == _BATCH:
        async with db.connection(pool) as connection:
            try:
                count = db.affected(await connection.execute(statement, tenant_id))
            except asyncpg.ForeignKeyViolationError:
                return False
        removed[table] = removed.get(table, 0) + count
    return True
