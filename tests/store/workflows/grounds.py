"""Workflows without its process, for tests of runs: use cases and a runner over one graph."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypedDict

import grpc
from langgraph.graph import END, START, StateGraph

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.ids import new_id
from services.workflows.engine.attempt import Attempts
from services.workflows.engine.runner import RunLimits, Runner
from services.workflows.engine.threads import StepThreads
from services.workflows.runs import Runs
from services.workflows.sealing import Cipher
from services.workflows.starting import Starter
from services.workflows.store import notices
from services.workflows.store.rows import RunRow, State

LIMITS = RunLimits(
    at_once=4,
    attempts=3,
    attempt=timedelta(seconds=20),
    run=timedelta(hours=1),
    wait=timedelta(hours=2),
    lease=timedelta(seconds=5),
)
SECONDS = 30.0


class Values(TypedDict, total=False):
    event_id: str
    first: str
    second: str


def graph(*steps: Any) -> StateGraph[Any, Any, Any, Any]:
    made: StateGraph[Any, Any, Any, Any] = StateGraph(Values)
    for number, step in enumerate(steps):
        made.add_node(f"step{number}", step)
        made.add_edge(f"step{number - 1}" if number else START, f"step{number}")
    made.add_edge(f"step{len(steps) - 1}", END)
    return made


class Ground:
    """Workflows without its process: use cases and a runner over one graph named "test"."""

    def __init__(
        self, pool: db.Pool, cipher: Cipher, tenant_id: str, made: StateGraph[Any, Any, Any, Any], limits: RunLimits
    ) -> None:
        self.pool, self.tenant_id = pool, tenant_id
        edge = grpc.aio.insecure_channel("127.0.0.1:1")
        self.attempts = Attempts({"test": made}, pool, cipher, edge)
        self.threads = StepThreads(limits.at_once, wait_seconds=0.1)
        asyncio.get_running_loop().set_default_executor(self.threads)
        self.runner = Runner(pool, self.attempts, limits, self.threads)
        self.starter = Starter(pool, 200, limits.run, lambda: None)
        feed: Any = None  # no test of these reads the stream
        self.runs = Runs(pool, self.attempts, self.starter, feed, limits.run, lambda: None)

    async def start(self) -> RunRow:
        return await self.starter.start("test", self.tenant_id, new_id())

    async def until(self, run_id: str, *states: State) -> RunRow:
        async with asyncio.timeout(SECONDS):
            while (row := await self.runs.get(run_id, None)).state not in states:
                await self.runner.round()
                await self.runner.end_overdue()
                await self.make_due()
                await asyncio.sleep(0.02)
        return row

    async def make_due(self) -> None:
        """End the pauses behind failures."""
        async with db.connection(self.pool) as connection:
            await connection.execute("UPDATE workflows.runs SET due_at = now() WHERE state = 1")

    async def events(self) -> list[event_pb2.WorkflowEvent]:
        async with db.connection(self.pool) as connection:
            return [event_pb2.WorkflowEvent.FromString(one) for _, one in await notices.oldest(connection, 100)]

    async def count(self, table: str) -> int:
        async with db.connection(self.pool) as connection:
            return int(await connection.fetchval(f"SELECT count(*) FROM workflows.{table}"))  # noqa: S608


@asynccontextmanager
async def ground(
    pool: db.Pool,
    cipher: Cipher,
    tenant_id: str,
    *steps: Any,
    limits: RunLimits = LIMITS,
    made: StateGraph[Any, Any, Any, Any] | None = None,
) -> AsyncIterator[Ground]:
    laid = Ground(pool, cipher, tenant_id, made or graph(*steps), limits)
    yield laid
    await laid.runner.aclose()


def one(_: Values) -> Values:
    return {"first": "1"}
