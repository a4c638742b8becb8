"""The rows that a schema holds about one tenant, written as JSON, page by page.

The tables are those of the database's catalogue, as for an erasure (`services.meshkit.erasing`). Tables without a
tenant whose rows go with a row of a tenant are found by their reference to it.

Each page is one snapshot, and begins behind the last row of the page before. So a row that exists during the whole
export is in it once, also if it changes; a row that comes or goes meanwhile may be in it or not.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg
import orjson

from services.meshkit import catalogue, db
from services.meshkit.catalogue import TENANT
from services.meshkit.erasing import MARKS
from services.meshkit.persons import Person

Written: TypeAlias = Mapping[str, Any]
"""Values by name, as JSON has them."""
UNDECIDED = "bytes in a form that this release does not know"
_PAGE_BYTES = 1024 * 1024
_PAGE_ROWS = 1000
_READ_ROWS = 16
_PARENTS = """
    SELECT child.relname AS of_table, a.attname AS name, parent.relname AS parent, b.attname AS parent_name
    FROM pg_constraint f
    JOIN pg_class child ON child.oid = f.conrelid
    JOIN pg_class parent ON parent.oid = f.confrelid
    JOIN pg_attribute a ON a.attrelid = child.oid AND a.attnum = f.conkey[1]
    JOIN pg_attribute b ON b.attrelid = parent.oid AND b.attnum = f.confkey[1]
    WHERE f.contype = 'f' AND f.confdeltype = 'c' AND cardinality(f.conkey) = 1
        AND child.relnamespace = $1::text::regnamespace AND NOT child.relispartition
"""


@dataclass(frozen=True)
class Form:
    """How the rows of one table are written, where that is not by the types of the columns.

    Args:
        columns: The columns that `read` writes.
        read: Returns the values that take the place of these columns. The row has its tenant's id, whether the table
            has it or not.
        left_out: Columns that are not written, with the reason.
    """

    columns: Sequence[str] = ()
    read: Callable[[Any], Written] = lambda _row: {}
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """The particulars of one schema.

    Args:
        schema: The schema's name, one of our own.
        revision: The revision of the schema's migrations.
        forms: By table: how its rows are written.
        kept: Tables that an erasure keeps, and an export leaves out.
        keys: The unique columns of tables that have no primary key, in the order of an index.
    """

    schema: str
    revision: str
    forms: Mapping[str, Form] = field(default_factory=dict)
    kept: Collection[str] = ()
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table that holds rows of tenants.

    Args:
        name: The table.
        columns: The types of its columns.
        key: The columns by which its rows are ordered, beside the tenant.
        owned: The condition of the rows of tenant `$1`.
    """

    name: str
    columns: Mapping[str, str]
    key: Sequence[str]
    owned: str


@dataclass(frozen=True)
class Place:
    """A place in an export of a schema.

    Args:
        table: The table; empty for the first one.
        after: The key of the last row before the place, as texts. Empty at the begin of the table.
    """

    table: str = ""
    after: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """A page of rows of one table.

    Args:
        table: The table; empty when the schema has none.
        rows: The rows, one JSON object each.
        left_out: The columns of the table that are not written, with the reasons.
        following: The place of the next page; None at the end of the schema.
    """

    table: str
    rows: Sequence[str]
    left_out: Mapping[str, str]
    following: Place | None


class TenantRows:
    """Reads the rows of tenants.

    Args:
        pool: Connections to PostgreSQL, as the role that owns the schema.
        export: The schema's particulars.
        page_bytes: The size of a page. One row may exceed it.
    """

    def __init__(self, pool: db.Pool, export: Export, page_bytes: int = _PAGE_BYTES) -> None:
        self._pool = pool
        self._export = export
        self._page_bytes = page_bytes

    @property
    def revision(self) -> str:
        """The revision of the schema's migrations."""
        return self._export.revision

    async def page(self, tenant_id: str, place: Place, person: Person | None = None) -> Page:
        """Read a page. Safe to call again.

        Args:
            tenant_id: The tenant's UUID.
            place: The place at which the page begins.
            person: With it, only rows that name the person are returned; a page may have none then, and is not the
                last one.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached.
        """
        async with db.connection(self._pool) as connection:
            tables = await owned_tables(connection, self._export)
        left = [table for table in tables if table.name >= place.table]
        if not left:
            return Page("", (), {}, None)
        table, following = left[0], Place(left[1].name) if len(left) > 1 else None
        after = place.after if table.name == place.table else ()
        found, is_whole = await self._read(table, tenant_id, after)
        form = self.form(table)
        # Expanding and writing bytes takes time that other calls must not wait for.
        rows, used = await asyncio.to_thread(self._written, table, form, tenant_id, found, person)
        if used < len(found) or not is_whole:
            following = Place(table.name, _key_of(table, found[used - 1]))
        return Page(table.name, rows, form.left_out, following)

    def form(self, table: Table) -> Form:
        """Return how rows of a table are written. Bytes of which this release knows nothing are left out."""
        form = self._export.forms.get(table.name, Form())
        known = {*form.columns, *form.left_out}
        unknown = {name: UNDECIDED for name, kind in table.columns.items() if "bytea" in kind and name not in known}
        return Form(form.columns, form.read, {**form.left_out, **unknown}) if unknown else form

    async def _read(self, table: Table, tenant_id: str, after: Sequence[str]) -> tuple[list[asyncpg.Record], bool]:
        """Read rows up to the bound of a page; return them, and whether they are the last ones."""
        statement = page_statement(self._export.schema, table, is_first=not after)
        found: list[asyncpg.Record] = []
        size = 0
        async with db.transaction(self._pool) as connection:
            async for row in connection.cursor(statement, tenant_id, *after, prefetch=_READ_ROWS):
                found.append(row)
                size += sum(len(value) for value in row.values() if isinstance(value, bytes | str))
                if size >= self._page_bytes or len(found) >= _PAGE_ROWS:
                    return found, not table.key
        return found, True

    def _written(
        self, table: Table, form: Form, tenant_id: str, found: Sequence[asyncpg.Record], person: Person | None
    ) -> tuple[list[str], int]:
        """Write rows up to the bound of a page; return them, and the number of rows that they were made from."""
        rows, size = [], 0
        for place, row in enumerate(found, 1):
            line = orjson.dumps(_values(table, form, tenant_id, row), default=str).decode()
            if person is None or person.is_in(line):
                rows.append(line)
            size += len(line)
            if size >= self._page_bytes and table.key:
                return rows, place
        return rows, len(found)


async def owned_tables(connection: db.Connection, export: Export) -> list[Table]:
    """Return the tables that hold rows of tenants, in the order of an export.

    Args:
        connection: As the role that owns the schema.
        export: The schema's particulars.
    """
    listed = await catalogue.tables(connection, export.schema)
    parents = {row["of_table"]: row for row in await connection.fetch(_PARENTS, export.schema)}
    found = []
    for name, table in listed.items():
        key = list(export.keys.get(name) or table.key)
        parent = parents.get(name)
        if name in export.kept or name == MARKS:
            continue
        if table.has_tenant:
            found.append(Table(name, table.columns, [one for one in key if one != TENANT], "tenant_id = $1"))
        elif parent is not None and listed[parent["parent"]].has_tenant:
            owned = (
                f'"{parent["name"]}" IN (SELECT "{parent["parent_name"]}"'  # noqa: S608 - from the catalogue
                f' FROM "{export.schema}"."{parent["parent"]}" WHERE tenant_id = $1)'
            )
            rest = [one for one in key if one != parent["name"]]
            found.append(Table(name, table.columns, [parent["name"], *rest], owned))
    return found


def page_statement(schema: str, table: Table, *, is_first: bool) -> str:
    """Return the statement of a page: `$1` is the tenant; the key follows for all pages but the first one."""
    columns, key = ", ".join(f'"{one}"' for one in table.columns), ", ".join(f'"{one}"' for one in table.key)
    places = ", ".join(f"${place}::text::{table.columns[one]}" for place, one in enumerate(table.key, 2))
    behind = "" if is_first else f" AND ({key}) > ({places})"
    order = f" ORDER BY {key}" if key else ""
    return f'SELECT {columns} FROM "{schema}"."{table.name}" WHERE {table.owned}{behind}{order}'  # noqa: S608


def _key_of(table: Table, row: asyncpg.Record) -> list[str]:
    return [_text(row[name]) for name in table.key]


def _text(value: Any) -> str:
    """Write a value as PostgreSQL reads it."""
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def _values(table: Table, form: Form, tenant_id: str, row: asyncpg.Record) -> dict[str, Any]:
    taken = {*form.columns, *form.left_out}
    plain = {name: _plain(row[name], kind) for name, kind in table.columns.items() if name not in taken}
    return {**plain, **form.read({"tenant_id": tenant_id, **row})}


def _plain(value: Any, kind: str) -> Any:
    return orjson.loads(value) if kind == "jsonb" and value is not None else value
