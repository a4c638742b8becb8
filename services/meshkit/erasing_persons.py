"""Removal of one person's address from a schema's rows of a tenant, up to a cut-off.

Each schema names steps: a table that may hold an address, the columns to check, and the change of a row that names the
person. A step goes through the tenant's rows of a table once, page by page in the order of an index, and never beyond
the bound that was noted for it: rows that arrive later are new data, so a step always ends. The rows of a page that
name the person are changed in one short transaction, which notes how far the step came. So an interrupted erasure goes
on where it was, and its counts are whole. Pages are checked in a thread, with a rest behind each, so that a large
tenant does not delay the service.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from services.meshkit import db, erasing_marks
from services.meshkit.erasing import renew_statistics
from services.meshkit.erasing_marks import Mark, PersonToErase
from services.meshkit.erasing_steps import Bound, Rows
from services.meshkit.errors import Conflict
from services.meshkit.persons import Person


@dataclass(frozen=True)
class Pace:
    """The speed of an erasure.

    Args:
        settle_seconds: The time for which others may still write what they had read: longer than a call between
            services, and than a follower's transaction.
        slice_seconds: The time after which a call returns with its progress.
        rest: The rest behind a page, as a share of the time that the page took.
    """

    settle_seconds: float = 11.0
    slice_seconds: float = 2.0
    rest: float = 1.0


@dataclass(frozen=True)
class Progress:
    """How far an erasure came.

    Args:
        mark: The stored progress.
        table: The table that is checked now; empty when none is.
        moved: Whether this call did something.
    """

    mark: Mark
    table: str = ""
    moved: bool = False


class PersonErasing:
    """Erases persons from one schema.

    Args:
        pool: Connections to PostgreSQL, as the role that owns the schema.
        schema: The schema's name, one of our own.
        steps: The steps, in their order. A release that changes them lets running erasures begin at the first again.
        pace: The speed.
        caught_up: Returns whether rows are made from all that was stored at the cut-off: the bounds of `Bound.TURN`.
    """

    def __init__(
        self,
        pool: db.Pool,
        schema: str,
        steps: Sequence[Rows],
        pace: Pace = Pace(),
        caught_up: Callable[[db.Connection, PersonToErase, Mark], Awaitable[bool]] | None = None,
    ) -> None:
        self._pool = pool
        self._schema = schema
        self._steps = steps
        self._pace = pace
        self._caught_up = caught_up

    async def cut_off(self, person: PersonToErase) -> Progress:
        """Note the cut-off, unless it is noted: rows that are stored later stay. Safe to call again.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached.
        """
        async with db.transaction(self._pool) as connection:
            if await erasing_marks.begin(connection, self._schema, person):
                bounds = await self._last_rows(connection, person, Bound.CUT_OFF) | {Bound.CUT_OFF: []}
                await erasing_marks.add_bounds(connection, self._schema, person, bounds)
            return Progress(await erasing_marks.read(connection, self._schema, person))

    async def advance(self, person: PersonToErase) -> Progress:
        """Erase for a slice of time, unless another process does. Safe to call again and concurrently.

        Raises:
            Conflict: The lease was lost, or a row has come into use. Call again.
            StoreUnavailable: PostgreSQL cannot be reached.
        """
        mark = (await self.cut_off(person)).mark
        if mark.is_done or not await erasing_marks.claim(self._pool, self._schema, person):
            return Progress(mark)
        async with db.connection(self._pool) as connection:
            mark = await erasing_marks.read(connection, self._schema, person)
        if Bound.CUT_OFF not in mark.bounds:
            raise Conflict  # dropped at this moment: the next call begins again
        if Bound.TURN not in mark.bounds:
            mark = await self._begin_turn(person, mark)
        end, moved = time.monotonic() + self._pace.slice_seconds, False
        while mark.step < len(self._steps) and time.monotonic() < end:
            step = self._steps[mark.step]
            if step.settles and mark.step_seconds < self._pace.settle_seconds and mark.reached is None:
                return Progress(mark, step.table, moved)
            later = await self._page(person, mark, step)
            if later is None:
                break
            mark, moved = later, True
        if mark.step < len(self._steps):
            step = self._steps[mark.step]
            await self._save(person, mark, step.table)
            return Progress(mark, step.table, moved)
        await erasing_marks.forget(self._pool, self._schema, person)
        await renew_statistics(self._pool, self._schema)
        return Progress(await erasing_marks.finish(self._pool, self._schema, person, len(self._steps)), moved=True)

    async def drop(self, pending: Sequence[str]) -> None:
        """Forget how far erasures came that are not pending, such as cancelled ones.

        They have not ended by this: one that is listed again begins again.
        """
        await erasing_marks.drop(self._pool, self._schema, pending)

    async def _begin_turn(self, person: PersonToErase, mark: Mark) -> Mark:
        async with db.transaction(self._pool) as connection:
            await self._hold(connection, person)
            bounds: dict[str, Any] = {}
            if self._caught_up is None or await self._caught_up(connection, person, mark):
                bounds = await self._last_rows(connection, person, Bound.TURN)
            bounds[Bound.TURN] = []
            await erasing_marks.add_bounds(connection, self._schema, person, bounds)
            return await erasing_marks.read(connection, self._schema, person)

    async def _page(self, person: PersonToErase, mark: Mark, step: Rows) -> Mark | None:
        """Check the next page of a step; return the progress, or None while its first row is in use."""
        began = time.monotonic()
        if step.name not in mark.bounds:
            async with db.transaction(self._pool) as connection:
                await self._hold(connection, person)
                bound = await self._last_row(connection, person, step)
                await erasing_marks.add_bounds(connection, self._schema, person, {step.name: bound})
                return await erasing_marks.read(connection, self._schema, person)
        rows = await self._read(person, mark, step)
        named, used = await asyncio.to_thread(_judged, step, rows, Person(person.address))
        checked = rows[: used if used is not None else len(rows)]
        if used == 0:
            return None
        is_last = used is None and len(rows) < step.page
        reached = None if is_last else _key_of(step, checked[-1])
        later = replace(mark, reached=reached, checked=mark.checked + len(checked))
        while step.then is not None and len(named) > 1:  # it may publish, as the last step of a transaction
            row, *named = named
            until = replace(mark, reached=_key_of(step, row), checked=mark.checked + checked.index(row) + 1)
            await self._commit(person, until, step, [row], is_last=False)
        if named or is_last:  # the others are saved with the slice
            later = await self._commit(person, later, step, named, is_last=is_last)
        await asyncio.sleep((time.monotonic() - began) * self._pace.rest)
        return later

    async def _commit(
        self, person: PersonToErase, mark: Mark, step: Rows, named: Sequence[asyncpg.Record], *, is_last: bool
    ) -> Mark:
        """Change rows and save the progress in one transaction.

        Raises:
            Conflict: The lease is lost, or a row has come into use since its page was read: nothing is changed.
        """
        async with db.transaction(self._pool) as connection:
            await self._hold(connection, person)
            changed = sum([await self._change(connection, person, step, row) for row in named])
            later = replace(mark, step=mark.step + 1) if is_last else mark
            await erasing_marks.save(connection, self._schema, person, later, step.table, changed)
            return await erasing_marks.read(connection, self._schema, person)

    async def _hold(self, connection: db.Connection, person: PersonToErase) -> None:
        if not await erasing_marks.hold(connection, self._schema, person):
            raise Conflict

    async def _save(self, person: PersonToErase, mark: Mark, table: str) -> None:
        async with db.transaction(self._pool) as connection:
            if await erasing_marks.hold(connection, self._schema, person):
                await erasing_marks.save(connection, self._schema, person, mark, table, 0)

    async def _read(self, person: PersonToErase, mark: Mark, step: Rows) -> list[asyncpg.Record]:
        bound = mark.bounds[step.name]
        if not bound["key"]:
            return []
        key = ", ".join(step.key)
        upper = ", ".join(f"${place}::text::{kind}" for place, kind in enumerate(step.key.values(), 3))
        lower = mark.reached or (mark.bounds[step.behind]["key"] if step.behind else None)
        after = ""
        if lower:
            first = 3 + len(step.key)
            marks = ", ".join(f"${place}::text::{kind}" for place, kind in enumerate(step.key.values(), first))
            after = f"AND ({key}) > ({marks})"
        statement = (
            f"{self._select(step)} WHERE {step.owned} AND $2::text IS NOT NULL AND {step.stored}"
            f" AND ({key}) <= ({upper}) {after} ORDER BY {key} LIMIT {step.page}"
        )
        async with db.connection(self._pool) as connection:
            return list(await connection.fetch(statement, person.tenant_id, bound["at"], *bound["key"], *(lower or ())))

    async def _change(self, connection: db.Connection, person: PersonToErase, step: Rows, seen: asyncpg.Record) -> int:
        """Judge a row again under its lock, and change it; return the number of changed rows."""
        values = _key_of(step, seen)
        here = " AND ".join(
            f"{name} = ${place}::text::{kind}" for place, (name, kind) in enumerate(step.key.items(), 2)
        )
        where = f"{step.owned} AND {here}"
        row = await connection.fetchrow(f"{self._select(step)} WHERE {where} FOR UPDATE", person.tenant_id, *values)
        change = None if row is None else step.judge(row, Person(person.address))
        if row is None or change is None:
            return 0
        changed = 1 if step.with_row is None else 1 + await step.with_row(connection, person.tenant_id, row)
        table = f'"{self._schema}"."{step.table}"'
        for statement in step.before:
            await connection.execute(statement, *values)
        if change:
            first = len(values) + 2
            sets = ", ".join(f"{name} = ${place}" for place, name in enumerate(change, first))
            statement = f"UPDATE {table} SET {sets} WHERE {where}"  # noqa: S608 - our own names
            await connection.execute(statement, person.tenant_id, *values, *change.values())
        else:
            await connection.execute(f"DELETE FROM {table} WHERE {where}", person.tenant_id, *values)  # noqa: S608
        if step.then is not None:
            await step.then(connection, values[0])
        return changed

    async def _last_rows(self, connection: db.Connection, person: PersonToErase, bound: Bound) -> dict[str, Any]:
        steps = [step for step in self._steps if step.bound is bound]
        return {step.name: await self._last_row(connection, person, step) for step in steps}

    async def _last_row(self, connection: db.Connection, person: PersonToErase, step: Rows) -> dict[str, Any]:
        names = ", ".join(f"{name}::text AS key_{name}" for name in step.key)  # else ORDER BY takes the text
        order = ", ".join(f"{name} DESC" for name in step.key)
        found = await connection.fetchrow(
            f'SELECT {names} FROM "{self._schema}"."{step.table}" WHERE {step.owned} ORDER BY {order} LIMIT 1',  # noqa: S608
            person.tenant_id,
        )
        at = await connection.fetchval("SELECT clock_timestamp()::text")
        return {"key": list(found) if found else [], "at": at}

    def _select(self, step: Rows) -> str:
        names = ", ".join([*(f"{name}::text AS key_{name}" for name in step.key), *step.columns])
        return f'SELECT {names} FROM "{self._schema}"."{step.table}"'  # noqa: S608 - our own names


def _key_of(step: Rows, row: asyncpg.Record) -> list[str]:
    return [row[f"key_{name}"] for name in step.key]


def _judged(step: Rows, rows: Sequence[asyncpg.Record], person: Person) -> tuple[list[asyncpg.Record], int | None]:
    """Return the rows that name the person, and the place of the first one in use, where the page ends, or None."""
    named = []
    for place, row in enumerate(rows):
        try:
            if step.judge(row, person) is not None:
                named.append(row)
        except Conflict:
            return named, place
    return named, None
