"""Removal of one person's address from a schema's rows of a tenant.

Each schema names its tables that may hold an address, the columns to check, and the change of a row that names the
person. The rows are read in pages without locks; a row that names the person is read again under its lock and changed
in a short transaction of its own, together with the count of it. So the counts are whole after a crash, and no row is
changed by an outdated judgement. The planner's statistics, which hold values of columns, are renewed behind the last
row.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from services.meshkit import db
from services.meshkit.erasing import renew_statistics
from services.meshkit.errors import Conflict
from services.meshkit.persons import Codec, Person

_PASSES = 20
ROUND_SECONDS = 24 * 3600.0
"""The time limit of a loop's round: a round that is cut begins at the first row again, and large tenants need hours."""
SETTLE_SECONDS = 11.0
"""Longer than a call between services, and than a follower's transaction behind what it has read."""
_MARK = "INSERT INTO {schema}.erased_persons (erasure_id, tenant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_HOLD = "SELECT removed FROM {schema}.erased_persons WHERE erasure_id = $1 FOR UPDATE"
_ADD = """
    UPDATE {schema}.erased_persons SET removed = removed
        || jsonb_build_object($2::text, coalesce((removed ->> $2::text)::bigint, 0) + 1)
    WHERE erasure_id = $1
"""
Change: TypeAlias = Mapping[str, Any]
"""New values by column. An empty one deletes the row."""
Judge: TypeAlias = Callable[[asyncpg.Record, Person], Change | None]
"""Returns the change of a row; None when the row does not name the person.

Raises:
    Conflict: The row names the person, and is in use: a later round asks again.
"""


@dataclass(frozen=True)
class PersonToErase:
    """The person whom an erasure removes.

    Args:
        erasure_id: The erasure's UUID.
        tenant_id: The tenant's UUID.
        address: The address as `plain_address` returns it.
    """

    erasure_id: str
    tenant_id: str
    address: str


@dataclass(frozen=True)
class Rows:
    """The rows of one table that may name a person.

    Args:
        table: The table.
        key: Its primary key, but for the tenant.
        columns: The columns that the judge reads.
        judge: Decides about a row.
        owned: The condition of the rows of tenant `$1`.
        before: Statements before a row is deleted; `$1` is the key's only column.
        page: The number of rows that are read at once.
    """

    table: str
    key: Sequence[str]
    columns: Sequence[str]
    judge: Judge
    owned: str = "tenant_id = $1"
    before: Sequence[str] = ()
    page: int = 200


def rewritten(columns: Mapping[str, Codec]) -> Judge:
    """Return the judge that takes the person out of columns, and leaves the rest of the row."""

    def judge(row: asyncpg.Record, person: Person) -> Change | None:
        rest = {name: codec(row[name], person) for name, codec in columns.items()}
        return {name: value for name, value in rest.items() if value != row[name]} or None

    return judge


def rewriting(table: str, key: Sequence[str], columns: Mapping[str, Codec], **rest: Any) -> Rows:
    """Return rows that lose the person and stay."""
    return Rows(table, key, tuple(columns), rewritten(columns), **rest)


async def erase_person(pool: db.Pool, schema: str, tables: Sequence[Rows], pending: PersonToErase) -> dict[str, int]:
    """Take a person out of a schema's rows of a tenant, until a whole pass finds no row that names the person.

    Args:
        pool: Connections to PostgreSQL, as the role that owns the schema.
        schema: The schema's name, one of our own.
        tables: The schema's tables that may name a person.
        pending: The tenant and the address.

    Returns:
        The number of removed and rewritten rows by table, earlier calls included.

    Raises:
        Conflict: A row that names the person is in use, or rows come faster than they go. Call again later.
        StoreUnavailable: PostgreSQL cannot be reached.

    Safe to call again: yes; an interrupted call is completed by the next.
    """
    async with db.connection(pool) as connection:
        await connection.execute(_MARK.format(schema=schema), pending.erasure_id, pending.tenant_id)
    work = _Work(pool, schema, pending)
    for _ in range(_PASSES):
        changed = [await work.go_through(rows) for rows in tables]
        if work.waits:
            break
        if not any(changed):
            await renew_statistics(pool, schema)
            return await work.removed()
    raise Conflict(metadata={"tenant_id": pending.tenant_id})


class Settling:
    """Tells whether an erasure has found nothing more for a while: others may still write what they had read before.

    Args:
        seconds: The time for which the counts must stay the same.
        now: Reads a clock that never goes back, in seconds.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._since: dict[str, tuple[Mapping[str, int], float]] = {}

    def check(self, erasure_id: str, removed: Mapping[str, int]) -> None:
        """Note the counts that an erasure has now.

        Raises:
            Conflict: They are not known, or not the same, for long enough. Erase again later.
        """
        now = self._now()
        earlier, since = self._since.get(erasure_id, ({}, now))
        if erasure_id not in self._since or earlier != removed:
            self._since[erasure_id] = (dict(removed), now)
            raise Conflict
        if now - since < self._seconds:
            raise Conflict

    def keep(self, erasure_ids: Collection[str]) -> None:
        """Forget the erasures that are not pending any more."""
        self._since = {key: value for key, value in self._since.items() if key in erasure_ids}


class _Work:
    """One call's work on a schema."""

    def __init__(self, pool: db.Pool, schema: str, pending: PersonToErase) -> None:
        self._pool = pool
        self._schema = schema
        self._pending = pending
        self._person = Person(pending.address)
        self.waits = False

    async def go_through(self, rows: Rows) -> int:
        """Go through a table once; return the number of changed rows."""
        changed, after = 0, None
        while page := await self._page(rows, after):
            for row in page:
                if self._is_named(rows, row):
                    changed += await self._change(rows, row)
            after = page[-1]
        return changed

    async def removed(self) -> dict[str, int]:
        """Return the counts."""
        async with db.connection(self._pool) as connection:
            statement = _HOLD.format(schema=self._schema)
            removed = json.loads(await connection.fetchval(statement, self._pending.erasure_id) or "{}")
        return {table: int(count) for table, count in sorted(removed.items())}

    def _is_named(self, rows: Rows, row: asyncpg.Record) -> bool:
        try:
            return rows.judge(row, self._person) is not None
        except Conflict:
            self.waits = True
            return False

    async def _page(self, rows: Rows, after: asyncpg.Record | None) -> list[asyncpg.Record]:
        key = ", ".join(rows.key)
        values = [] if after is None else [after[f"key_{name}"] for name in rows.key]
        marks = ", ".join(f"${number}" for number in range(2, len(values) + 2))
        behind = f"AND ({key}) > ({marks})" if values else ""
        statement = f"{self._select(rows)} WHERE {rows.owned} {behind} ORDER BY {key} LIMIT {rows.page}"
        async with db.connection(self._pool) as connection:
            return list(await connection.fetch(statement, self._pending.tenant_id, *values))

    async def _change(self, rows: Rows, seen: asyncpg.Record) -> bool:
        """Judge a row again under its lock, change it, and count it."""
        values = [seen[f"key_{name}"] for name in rows.key]
        here = " AND ".join(f"{name} = ${number}" for number, name in enumerate(rows.key, 2))
        where = f"{rows.owned} AND {here}"
        async with db.transaction(self._pool) as connection:
            await connection.fetch(_HOLD.format(schema=self._schema), self._pending.erasure_id)
            row = await connection.fetchrow(
                f"{self._select(rows)} WHERE {where} FOR UPDATE", self._pending.tenant_id, *values
            )
            change = None if row is None else rows.judge(row, self._person)
            if change is None:
                return False
            await self._apply(connection, rows, where, values, change)
            await connection.execute(_ADD.format(schema=self._schema), self._pending.erasure_id, rows.table)
        return True

    async def _apply(self, connection: db.Connection, rows: Rows, where: str, key: list[Any], change: Change) -> None:
        table = f'"{self._schema}"."{rows.table}"'
        if change:
            first = len(key) + 2
            sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(change, first))
            statement = f"UPDATE {table} SET {sets} WHERE {where}"  # noqa: S608 - our own names
            await connection.execute(statement, self._pending.tenant_id, *key, *change.values())
            return
        for statement in rows.before:
            await connection.execute(statement, *key)
        await connection.execute(f"DELETE FROM {table} WHERE {where}", self._pending.tenant_id, *key)  # noqa: S608

    def _select(self, rows: Rows) -> str:
        names = ", ".join([*(f"{name} AS key_{name}" for name in rows.key), *rows.columns])
        return f'SELECT {names} FROM "{self._schema}"."{rows.table}"'  # noqa: S608 - our own names
