"""The steps of an erasure of a person: tables that may hold an address, and the change of a row that names it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import asyncpg

from services.meshkit import db
from services.meshkit.persons import Codec, Person

Change: TypeAlias = Mapping[str, Any]
"""New values by column. An empty one deletes the row."""
Judge: TypeAlias = Callable[[asyncpg.Record, Person], Change | None]
"""Returns the change of a row; None when the row does not name the person.

Raises:
    Conflict: The row names the person, and is in use: a later round asks again. Its use must end by a deadline.
"""
Then: TypeAlias = Callable[[db.Connection, str], Awaitable[None]]
"""Ends the work on a changed row, in its transaction: the tenant's schema connection, and the row's only key."""
WithRow: TypeAlias = Callable[[db.Connection, str, asyncpg.Record], Awaitable[int]]
"""Changes the rows that were made from a row of a tenant, before that row changes; returns how many."""


class Bound(StrEnum):
    """When the last row of a step is noted."""

    CUT_OFF = "cut_off"
    """When the service sees the request: for rows that arrive from outside."""
    TURN = "turn"
    """When the service's turn begins, if it has taken over by then what was stored at the cut-off; else with the step:
    for rows that the service makes from rows of others."""
    START = "start"
    """When the step begins: for rows that move between tables, or whose change harms nothing new."""


@dataclass(frozen=True)
class Rows:
    """A step: the rows of one table that may name a person.

    Args:
        table: The table.
        key: The columns of its primary key, but for the tenant, with their types, in the order of an index.
        columns: The columns that the judge reads.
        judge: Decides about a row.
        bound: When its last row is noted.
        owned: The condition of the rows of tenant `$1`.
        stored: A further condition, in which `$2` is the time of the bound.
        behind: The step behind whose bound this one begins; empty for the first row.
        settles: Whether it begins only when others have written what they had read before the step before it.
        before: Statements before a row is deleted or changed; `$1` is the key's only column.
        with_row: Changes the rows that were made from a row, before it is deleted or changed.
        then: Ends the work on a changed row, which has a transaction of its own.
        page: The number of rows that are read at once.
        part: A word for the step, when the table has another one that begins at the first row.
    """

    table: str
    key: Mapping[str, str]
    columns: Sequence[str]
    judge: Judge
    bound: Bound = Bound.CUT_OFF
    owned: str = "tenant_id = $1"
    stored: str = "true"
    behind: str = ""
    settles: bool = False
    before: Sequence[str] = ()
    with_row: WithRow | None = None
    then: Then | None = None
    page: int = 200
    part: str = ""

    @property
    def name(self) -> str:
        """The name of the step, unique in its schema."""
        name = f"{self.table}: {self.part}" if self.part else self.table
        return f"{name} behind {self.behind}" if self.behind else name


def rewritten(columns: Mapping[str, Codec]) -> Judge:
    """Return the judge that takes the person out of columns, and leaves the rest of the row."""

    def judge(row: asyncpg.Record, person: Person) -> Change | None:
        rest = {name: codec(row[name], person) for name, codec in columns.items()}
        return {name: value for name, value in rest.items() if value != row[name]} or None

    return judge


def rewriting(table: str, key: Mapping[str, str], columns: Mapping[str, Codec], **rest: Any) -> Rows:
    """Return a step whose rows lose the person and stay."""
    return Rows(table, key, tuple(columns), rewritten(columns), **rest)
