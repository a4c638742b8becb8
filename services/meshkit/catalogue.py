"""The tables of a schema as PostgreSQL's catalogue lists them: a table that is added later is not forgotten.

An erasure and an export read the same list, so that an erased row is an exported row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.meshkit import db

TENANT = "tenant_id"
"""The column that says whose a row is."""
_COLUMNS = """
    SELECT c.relname AS of_table, a.attname AS name, format_type(a.atttypid, NULL) AS type,
        coalesce((SELECT k.place FROM unnest(i.indkey) WITH ORDINALITY k (number, place) WHERE k.number = a.attnum), 0)
            AS place
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname, a.attnum
"""


@dataclass(frozen=True)
class ListedTable:
    """A table of the catalogue; a partition is listed with its parent.

    Args:
        columns: The types of its columns.
        key: The columns of its primary key, in their order.
    """

    columns: Mapping[str, str]
    key: Sequence[str]

    @property
    def has_tenant(self) -> bool:
        """Whether each row names its tenant."""
        return TENANT in self.columns


async def tables(connection: db.Connection, schema: str) -> dict[str, ListedTable]:
    """Return the tables of a schema by name, in the order of their names.

    Args:
        connection: As the role that owns the schema.
        schema: The schema's name, one of our own.
    """
    columns: dict[str, dict[str, str]] = {}
    keys: dict[str, dict[int, str]] = {}
    for row in await connection.fetch(_COLUMNS, schema):
        columns.setdefault(row["of_table"], {})[row["name"]] = row["type"]
        if row["place"]:
            keys.setdefault(row["of_table"], {})[row["place"]] = row["name"]
    return {
        name: ListedTable(types, [column for _, column in sorted(keys.get(name, {}).items())])
        for name, types in columns.items()
    }
