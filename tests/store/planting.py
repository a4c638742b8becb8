"""Rows of any table on real PostgreSQL, and where a schema has a text: in rows, and in the planner's statistics."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from services.meshkit import db
from services.meshkit.ids import new_id

_REQUIRED = """
    SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2
        AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
"""
_FILL: Mapping[str, Any] = {
    "text": "x",
    "bytea": b"",
    "smallint": 1,
    "integer": 1,
    "bigint": 1,
    "boolean": False,
    "jsonb": "{}",
    "ARRAY": [],
    "date": date(2026, 1, 1),
}
_TABLES = """
    SELECT c.relname FROM pg_class c WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition ORDER BY c.relname
"""
_TOLD = """
    SELECT tablename, attname FROM pg_stats s
    WHERE schemaname = $1 AND (strpos(s::text, $2) > 0 OR strpos(s::text, $3) > 0)
"""


async def insert(pool: db.Pool, table: str, **values: Any) -> None:
    """Insert a row; the columns that are not named and have no default are filled by their type.

    Args:
        pool: Connections, as the owner of the schema.
        table: The table with its schema.
        values: Values by column.
    """
    found = await pool.fetch(_REQUIRED, *table.split("."))
    missing = [(name, kind) for name, kind in found if name not in values]
    times = [name for name, kind in missing if kind == "timestamp with time zone"]
    values |= {name: _fill(kind) for name, kind in missing if name not in times}
    marks = [f"${number}" for number in range(1, len(values) + 1)] + ["now()"] * len(times)
    statement = f"INSERT INTO {table} ({', '.join([*values, *times])}) VALUES ({', '.join(marks)})"  # noqa: S608
    await pool.execute(statement, *values.values())


def _fill(kind: str) -> Any:
    return new_id() if kind == "uuid" else _FILL[kind]


async def cells_with(pool: db.Pool, schema: str, text: str) -> set[tuple[str, str]]:
    """Return the tables and columns of a schema that have a text in a row."""
    found = set()
    for (table,) in await pool.fetch(_TABLES, schema):
        for row in await pool.fetch(f'SELECT * FROM "{schema}"."{table}"'):  # noqa: S608 - from the catalogue
            found |= {(table, column) for column, value in row.items() if text in repr(value)}
    return found


async def statistics_with(pool: db.Pool, schema: str, text: str) -> set[tuple[str, str]]:
    """Return the tables and columns of a schema whose statistics have a text, also as a part of bytes."""
    return {tuple(row) for row in await pool.fetch(_TOLD, schema, text, text.encode().hex())}
