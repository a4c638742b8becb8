"""Removal of everything that a schema holds about one tenant.

The tables are read from the database's catalogue, so that a table which is added later is not forgotten: every table
with a column `tenant_id` loses the tenant's rows, and rows that refer to them go with them.

Each schema has a table `erased_tenants`. Its row of a tenant marks the tenant as erased for the statements that could
bring the tenant back, lets one process at a time erase, and counts the removed rows in the transaction that removes
them. So the counts are whole after a crash.

The planner's statistics hold values of columns, and ANALYZE leaves those of a table that has become empty. So they are
cleared and taken again behind the last row.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import asyncpg
import structlog

from services.meshkit import catalogue, db
from services.meshkit.errors import Conflict

logger = structlog.get_logger(__name__)

T = TypeVar("T")
MARKS = "erased_tenants"
_BATCH = 500
_PASSES = 20
_DELETE = """
    DELETE FROM {table} WHERE tenant_id = $1 AND (tableoid, ctid) IN (
        SELECT tableoid, ctid FROM {table} WHERE tenant_id = $1 LIMIT {batch}) RETURNING 1
"""
_COUNTED = "WITH gone AS ({statement}) SELECT count(*) FROM gone"
_FENCE = "SELECT pg_advisory_xact_lock(hashtextextended('erased_tenants.' || $1, 0))"
_SHARED = _FENCE.replace("_lock(", "_lock_shared(")
_MARK = "INSERT INTO {schema}.erased_tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING"
_MARKED = "SELECT tenant_id::text AS tenant_id FROM {schema}.erased_tenants WHERE tenant_id = ANY($1::uuid[])"
_HOLD = "SELECT removed FROM {schema}.erased_tenants WHERE tenant_id = $1 FOR UPDATE NOWAIT"
_ADD = """
    UPDATE {schema}.erased_tenants SET removed = removed
        || jsonb_build_object($2::text, coalesce((removed ->> $2::text)::bigint, 0) + $3::bigint)
    WHERE tenant_id = $1
"""
_WITH_STATISTICS = """
    SELECT c.relname, c.relkind = 'r' AS has_rows FROM pg_class c
    WHERE c.relnamespace = $1::text::regnamespace AND EXISTS (
        SELECT FROM pg_stats s WHERE s.schemaname = $1 AND s.tablename = c.relname)
    ORDER BY c.relname
"""
_CLEAR = """
    SELECT pg_clear_attribute_stats(schemaname::text, tablename::text, attname::text, inherited)
    FROM pg_stats WHERE schemaname = $1 AND tablename = $2
"""


@dataclass(frozen=True)
class Plan:
    """The particulars of one schema.

    Args:
        schema: The schema's name, one of our own.
        kept: Tables that are not touched.
        first: Tables that are emptied before the others.
        statements: Statements for tables whose rows are not deleted. Each takes a batch of the rows of tenant `$1` away
            from the tenant, and returns one row for each of them.
    """

    schema: str
    kept: Collection[str] = ()
    first: Collection[str] = ()
    statements: Mapping[str, str] = field(default_factory=dict)


async def erase_rows(pool: db.Pool, plan: Plan, tenant_id: str) -> dict[str, int]:
    """Take all rows of a tenant out of a schema, in batches of transactions of their own, and out of its statistics.

    Other transactions may hide rows from a batch: they change a row while the batch waits for it, or add one behind it.
    So whole passes are repeated until one statement finds no row of the tenant in any table.

    Args:
        pool: Connections to PostgreSQL, as the role that owns the schema.
        plan: The schema's particulars.
        tenant_id: The tenant.

    Returns:
        The number of removed rows by table, earlier calls included. Rows that went with those that they referred to are
        not counted.

    Raises:
        Conflict: Another process erases the tenant, or writes rows of it still. Call again later.
        StoreUnavailable: PostgreSQL cannot be reached.

    Safe to call again: yes; an interrupted call is completed by the next.
    """
    await _mark(pool, plan.schema, tenant_id)
    async with db.connection(pool) as connection:
        listed = await catalogue.tables(connection, plan.schema)
    owned = [name for name, table in listed.items() if table.has_tenant and name not in plan.kept and name != MARKS]
    tables = sorted(owned, key=lambda table: (table not in plan.first, table))
    for _ in range(_PASSES):
        await _pass(pool, plan, tables, tenant_id)
        removed = await _removed(pool, plan.schema, tables, tenant_id)
        if removed is not None:
            await renew_statistics(pool, plan.schema)
            return removed
    raise Conflict(metadata={"tenant_id": tenant_id})


async def marked(connection: db.Connection, schema: str, tenant_ids: Collection[str]) -> frozenset[str]:
    """Find the erased ones among tenants. No eraser marks another until the transaction ends.

    Args:
        connection: In the transaction that writes rows of the others.
        schema: The schema's name, one of our own.
        tenant_ids: The tenants.
    """
    await connection.execute(_SHARED, schema)
    found = await connection.fetch(_MARKED.format(schema=schema), list(tenant_ids))
    return frozenset(row["tenant_id"] for row in found)


async def erase_each(
    subjects: Iterable[T], erase: Callable[[T], Awaitable[bool]], tenant_of: Callable[[T], str]
) -> int:
    """Erase tenants, or persons within tenants, one after the other. A failure of one does not stop those behind it.

    Args:
        subjects: The tenants or the persons.
        erase: Erases one; returns whether it is done.
        tenant_of: Returns the tenant's UUID, for logs.

    Returns:
        The number of erased ones.

    Raises:
        Exception: The first failure, once all had their turn. One that another process erases is none.
    """
    failures: list[Exception] = []
    erased = 0
    for subject in subjects:
        try:
            erased += await erase(subject)
        except Conflict:
            logger.info("erasure waits for rows in use", tenant_id=tenant_of(subject))
        except Exception as exc:  # noqa: BLE001 - it is raised behind the last tenant
            logger.warning("erasure is not done yet", tenant_id=tenant_of(subject), error=type(exc).__name__)
            failures.append(exc)
    if failures:
        raise failures[0]
    return erased


async def _mark(pool: db.Pool, schema: str, tenant_id: str) -> None:
    """Mark the tenant, once those who hold the fence in shared mode have committed: later ones see the mark."""
    async with db.transaction(pool) as connection:
        await connection.execute(_FENCE, schema)
        await connection.execute(_MARK.format(schema=schema), tenant_id)


async def _pass(pool: db.Pool, plan: Plan, tables: list[str], tenant_id: str) -> None:
    waiting = tables
    while waiting:
        refused = [table for table in waiting if not await _empty(pool, plan, table, tenant_id)]
        if len(refused) == len(waiting):
            msg = f"rows of {sorted(refused)} are referred to by rows without a tenant"
            raise RuntimeError(msg)
        waiting = refused


async def _empty(pool: db.Pool, plan: Plan, table: str, tenant_id: str) -> bool:
    """Empty one table; return False when rows of another table, which is emptied first then, refer to it."""
    try:
        while await _batch(pool, plan, table, tenant_id):
            pass
    except asyncpg.ForeignKeyViolationError:
        return False
    return True


async def _batch(pool: db.Pool, plan: Plan, table: str, tenant_id: str) -> int:
    """Remove some rows and count them, unless another process removes rows of the tenant at this moment."""
    delete = _DELETE.format(table=f'"{plan.schema}"."{table}"', batch=_BATCH)
    async with db.transaction(pool) as connection:
        await connection.execute(_HOLD.format(schema=plan.schema), tenant_id)
        statement = _COUNTED.format(statement=plan.statements.get(table, delete))
        count = int(await connection.fetchval(statement, tenant_id))
        if count:
            await connection.execute(_ADD.format(schema=plan.schema), tenant_id, table, count)
    return count


async def _removed(pool: db.Pool, schema: str, tables: list[str], tenant_id: str) -> dict[str, int] | None:
    """Return the counts if no table has a row of the tenant, by one snapshot of all of them; else None."""
    parts = [f'EXISTS (SELECT FROM "{schema}"."{table}" WHERE tenant_id = $1)' for table in tables]
    async with db.transaction(pool) as connection:
        removed = await connection.fetchval(_HOLD.format(schema=schema), tenant_id)
        if await connection.fetchval(f"SELECT {' OR '.join(parts) or 'false'}", tenant_id):
            return None
    return {table: int(rows) for table, rows in sorted(json.loads(removed).items())}


async def renew_statistics(pool: db.Pool, schema: str) -> None:
    """Clear the statistics of all tables, one after the other, and take them again from the rows that are left.

    An ANALYZE that still saw the removed rows ends first: both take the same lock. Safe to call again.

    Args:
        pool: Connections to PostgreSQL, as the role that owns the schema.
        schema: The schema's name, one of our own.
    """
    async with db.connection(pool) as connection:
        found = await connection.fetch(_WITH_STATISTICS, schema)
    for table, has_rows in found:
        async with db.transaction(pool) as connection:
            await connection.execute(_CLEAR, schema, table)
            if has_rows:
                await connection.execute(f'ANALYZE "{schema}"."{table}"')
