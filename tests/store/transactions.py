"""Which tenants a transaction of a service names, noted while the tests of the stores run.

A statement names a tenant by an argument, or by a row of its answer. Values that stand for tenants are learned from
comparisons with `tenant_id` and from columns of that name; any argument with such a value names the tenant, also in a
list. A statement outside of a transaction is a transaction of its own. A transaction that the test itself began, for
calls of its own choice, is no service's.
"""

import functools
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import asyncpg
from asyncpg.connection import Connection
from asyncpg.transaction import Transaction

SERVICES = Path(__file__).parents[2] / "services"
# They begin a transaction in the name of their caller.
_LENDERS = {SERVICES / "meshkit" / "db.py", SERVICES / "meshkit" / "db_lending.py"}
_COMPARED = re.compile(r"\btenant_id(?:::\w+)? (?:=|<>) (?:ANY \()?\$(\d+)")
_TENANT = "tenant_id"
NO_TENANT = "00000000-0000-0000-0000-000000000000"
"""The place before all rows of a table, where pages begin."""


@dataclass
class Recorded:
    """One transaction.

    Attributes:
        place: The function that began it, such as `ingest/store/items:claim`; empty when it was a test.
        values: All values of its arguments, as text.
        tenants: The tenants that it surely names.
    """

    place: str
    values: set[str] = field(default_factory=set)
    tenants: set[str] = field(default_factory=set)


class Recorder:
    """Notes the transactions of one test."""

    def __init__(self) -> None:
        self._all: list[Recorded] = []
        self._open: dict[int, Recorded] = {}

    def of_several_tenants(self) -> dict[str, set[str]]:
        """Return the tenants of each place whose transactions named more than one; the most of one transaction."""
        known = {tenant for one in self._all for tenant in one.tenants} - {NO_TENANT}
        found: dict[str, set[str]] = {}
        for one in self._all:
            named = (one.tenants | one.values) & known
            if one.place and len(named) > max(1, len(found.get(one.place, ()))):
                found[one.place] = named
        return found

    def clear(self) -> None:
        """Forget what was noted, for tests of the recorder itself."""
        self._all.clear()

    def begin(self, connection: Any, frame: FrameType | None) -> None:
        """Note that a transaction begins on a connection."""
        self._open[id(connection)] = self._new(frame)

    def statement(self, connection: Any, query: str, arguments: Iterable[Any], rows: Any, frame: FrameType) -> None:
        """Note a statement with its arguments, and the rows of its answer."""
        is_within = connection._top_xact is not None
        one = self._open.get(id(connection)) if is_within else None
        if one is None:
            one = self._new(frame)
        given = list(arguments)
        one.values.update(_values(given))
        for match in _COMPARED.finditer(query):
            if (number := int(match[1])) <= len(given):
                one.tenants.update(_values([given[number - 1]]))
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, asyncpg.Record) and row.get(_TENANT) is not None:
                one.tenants.update(_values([row[_TENANT]]))

    def _new(self, frame: FrameType | None) -> Recorded:
        one = Recorded(_place(frame))
        if one.place:
            self._all.append(one)
        return one


@contextmanager
def recorded() -> Iterator[Recorder]:
    """Record the transactions during the block."""
    recorder = Recorder()
    start, execute, many = Transaction.start, Connection._execute, Connection._executemany

    @functools.wraps(start)
    async def starting(self: Any) -> None:
        await start(self)
        if not self._nested:
            recorder.begin(self._connection, sys._getframe(1))

    @functools.wraps(execute)
    async def executing(self: Any, query: str, args: Any, *further: Any, **named: Any) -> Any:
        answer = await execute(self, query, args, *further, **named)
        rows = answer[0] if isinstance(answer, tuple) else answer
        recorder.statement(self, query, args, rows, sys._getframe(1))
        return answer

    @functools.wraps(many)
    async def executing_many(self: Any, query: str, args: Any, *further: Any, **named: Any) -> Any:
        given = [tuple(one) for one in args]
        answer = await many(self, query, given, *further, **named)
        for one in given:
            recorder.statement(self, query, one, (), sys._getframe(1))
        return answer

    with (
        patch.object(Transaction, "start", starting),
        patch.object(Connection, "_execute", executing),
        patch.object(Connection, "_executemany", executing_many),
    ):
        yield recorder


def _values(arguments: Iterable[Any]) -> Iterator[str]:
    for one in arguments:
        if isinstance(one, list | tuple | set | frozenset):
            yield from _values(one)
        elif one is not None and not isinstance(one, bytes):
            yield str(one)


def _place(frame: FrameType | None) -> str:
    """Name the innermost function of a service, as `sql_sources` names modules; empty when a test is further inside."""
    while frame is not None:
        module = _module(frame.f_code.co_filename)
        if module is not None:
            return f"{module}:{frame.f_code.co_qualname.replace('.<locals>', '')}" if module else ""
        frame = frame.f_back
    return ""


@functools.cache
def _module(file: str) -> str | None:
    """Name a service's module; empty for a test's, None for others."""
    path = Path(file)
    if path.is_relative_to(SERVICES) and path not in _LENDERS:
        return str(path.relative_to(SERVICES).with_suffix(""))
    return "" if "tests" in path.parts and path != Path(__file__) else None
