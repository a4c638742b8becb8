"""The cost of row-level security on the tables that every reader and every worker reads."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from bench import measure
from bench.drain_backlog import drain
from bench.event_store import event_store
from bench.filled_events import TENANTS, fill, tenant, timed_pages
from bench.measure import Figure, Options
from bench.worker_machine import WorkerMachine, worker_machine
from mailmesh.processor.v1 import event_pb2
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from services.processor.stream.filter import Selection
from stack.programs.roles import SERVICE_ROLES

QUESTION = "What do page reads and a drain cost when the database checks the tenant of each row?"
METHOD = """A policy that compares the tenant of each row with the setting `mailmesh.tenants` of the session is put on
`processor.events`, and for the drain on `processor.messages` as well, in a scratch copy of the real schema. It reads
the setting for each row, or once in a statement by a subquery. The tables' owner is bound by it. Sessions of readers
name the tenants that they read, and those of the worker name all, so that every statement runs unchanged. The same
reads and the same drain run with the policy and without, in turn. A session that names its tenants for each transaction
needs a further statement, whose time is measured apart. The seed is fixed."""
EVENTS, QUICK_EVENTS = 100_000, 5_000
PAGE, PAGES, QUICK_PAGES = 50, 25, 5
MAILS_EACH, DRAINED_TENANTS = 20, 50
QUICK_MAILS_EACH, QUICK_DRAINED_TENANTS = 5, 3
STATEMENTS, QUICK_STATEMENTS = 3_000, 20
TARGET = 1.03
_SETTING = "current_setting('mailmesh.tenants')::uuid[]"
WAYS = {"each row": f"tenant_id = ANY ({_SETTING})", "once": f"tenant_id = ANY ((SELECT {_SETTING})::uuid[])"}
"""The policies: the setting is read for each row, or once in a statement."""
_NAMED = "SELECT set_config('mailmesh.tenants', $1, true)"
_CASES = {
    "any event": Selection(None),
    "one mailbox of 200": Selection(frozenset({tenant(7)})),
    "40 mailboxes of 200": Selection(frozenset(map(tenant, range(40)))),
}


async def program(options: Options) -> Sequence[Figure]:
    """Measure the reads, the statement, and the drain."""
    return [*await _reads(options), *await _drains(options)]


async def _reads(options: Options) -> list[Figure]:
    count, pages = (QUICK_EVENTS, QUICK_PAGES) if options.is_quick else (EVENTS, PAGES)
    took: dict[tuple[str, str], list[float]] = {(name, way): [] for name in _CASES for way in ("", *WAYS)}
    async with event_store(is_careless=True) as url:
        await fill(url, count)
        async with _policies(url, ("events",)) as policies:
            for _ in range(options.repeats):
                for way in ("", *WAYS):
                    await policies.set(way)
                    print(f"  {way or 'without'}", flush=True)
                    for name, selection in _CASES.items():
                        # The connections are new: they have the setting, and plans of the present policies.
                        named = Secret(_naming_of(url, selection))
                        async with open_pool(named, "bench", DatabaseLimits(connections=4)) as pool:
                            read, _ = await timed_pages(pool, selection, event_pb2.EVENT_VIEW_BASIC, PAGE, pages)
                            took[name, way] += read
            naming = await _naming(url, QUICK_STATEMENTS if options.is_quick else STATEMENTS)
    figures = [Figure("naming the tenants of a transaction: p50", naming, "ms", note="one statement more")]
    for name in _CASES:
        plain = measure.median(took[name, ""])
        figures.append(Figure(f"{name}: p50 without a policy", plain, "ms"))
        for way in WAYS:
            checked = measure.median(took[name, way])
            bound = "" if options.is_quick or way != "once" else f"<= {TARGET}"
            figures += [
                Figure(f"{name}: p50, setting read {way}", checked, "ms"),
                Figure(f"{name}: setting read {way}, of without", checked / plain, "ratio", bound),
            ]
    return figures


async def _naming(url: str, count: int) -> float:
    """Return the median time of the statement by which a transaction names its tenant, on a kept connection."""
    async with open_pool(Secret(url), "bench", DatabaseLimits(connections=1)) as pool:
        took = []
        async with pool.acquire() as connection:
            for _ in range(count):
                async with connection.transaction():
                    began = 1000 * time.perf_counter()
                    await connection.fetchval(_NAMED, "{" + tenant(7) + "}")
                    took.append(1000 * time.perf_counter() - began)
    return measure.median(took)


async def _drains(options: Options) -> list[Figure]:
    each, tenants = (QUICK_MAILS_EACH, QUICK_DRAINED_TENANTS) if options.is_quick else (MAILS_EACH, DRAINED_TENANTS)
    rates: dict[bool, list[float]] = {False: [], True: []}
    async with worker_machine() as machine:
        for turn in range(options.repeats):
            for has in (False, True) if turn % 2 == 0 else (True, False):
                rates[has].append(await _drained(machine, each, tenants, has_policy=has))
    plain, checked = measure.median(rates[False]), measure.median(rates[True])
    return [
        Figure("drain without", plain, "1/s", note="messages a second, median"),
        Figure("drain with", checked, "1/s"),
        Figure("drain: time with, of without", plain / checked, "ratio", "" if options.is_quick else f"<= {TARGET}"),
    ]


async def _drained(machine: WorkerMachine, each: int, tenants: int, *, has_policy: bool) -> float:
    """Drain mails of new mailboxes; return the messages a second."""
    made = await machine.tenants(tenants)
    mails = await machine.mails(made, each)
    known = await machine.ground.processor.fetch("SELECT tenant_id::text FROM processor.tenants")
    named = ",".join(sorted({one.tenant_id for one in made} | {row[0] for row in known}))
    role = f"ALTER ROLE {SERVICE_ROLES['processor'].role} SET mailmesh.tenants = '{{{named}}}'"
    administrator = await asyncpg.connect(machine.postgres.server.url())
    try:
        await administrator.execute(role)
    finally:
        await administrator.close()
    # The setting is that of new sessions.
    await machine.ground.processor.expire_connections()
    url = machine.ground.worker_environment()["MAILMESH_DATABASE_URL"]
    async with _policies(url, ("events", "messages")) as policies:
        await policies.set("once" if has_policy else "")
        return len(mails) / await drain(machine, mails)


class Policies:
    """Policies of tables that are on or off.

    Args:
        connection: As the tables' owner.
        tables: The tables.
    """

    def __init__(self, connection: Any, tables: Sequence[str]) -> None:
        self._connection = connection
        self._tables = tables

    async def set(self, way: str) -> None:
        """Put one of the `WAYS` on all tables, for their owner too; empty for no policy."""
        verbs = ("ENABLE", "FORCE") if way else ("DISABLE", "NO FORCE")
        for table in self._tables:
            await self._connection.execute(f"DROP POLICY IF EXISTS of_session ON processor.{table}")
            for verb in verbs:
                await self._connection.execute(f"ALTER TABLE processor.{table} {verb} ROW LEVEL SECURITY")
            if way:
                await self._connection.execute(f"CREATE POLICY of_session ON processor.{table} USING ({WAYS[way]})")


@asynccontextmanager
async def _policies(url: str, tables: Sequence[str]) -> AsyncIterator[Policies]:
    """Yield policies, which are off, and remove them behind the block."""
    connection = await asyncpg.connect(url)
    try:
        policies = Policies(connection, tables)
        yield policies
        await policies.set("")
    finally:
        await connection.close()


def _naming_of(url: str, selection: Selection) -> str:
    """Return the address for sessions that name the tenants of a selection."""
    everyone = [tenant(number) for number in (*range(TENANTS), 10_000)]
    named = ",".join(everyone if selection.tenants is None else sorted(selection.tenants))
    return f"{url}{'&' if '?' in url else '?'}mailmesh.tenants=%7B{named}%7D"


if __name__ == "__main__":
    measure.main("row_security", QUESTION, METHOD, program)
