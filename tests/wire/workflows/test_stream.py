"""The process of Workflows beside a real Processor: runs start from the stream, whatever is killed."""

import asyncio
import base64
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from mailmesh.processor.v1 import event_service_pb2
from mailmesh.workflow.v1 import workflow_service_pb2 as pb2
from mailmesh.workflow.v1.workflow_service_pb2_grpc import WorkflowServiceStub
from services.meshkit.identity.certificates import TlsFiles
from stack.ports import free_ports
from tests.programs.postgres import TestDatabase
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft
from tests.wire.processor.stream.conftest import Processor, edge_channel, processor, start_processor, tls
from tests.wire.workflows.noted_steps import FOLDER, STEPS
from tools.suite.sandbox import tethered

__all__ = ["processor", "start_processor", "tls"]
pytestmark = pytest.mark.timeout(300)
Tls = Callable[[str], TlsFiles]
Start = Callable[[], Awaitable["subprocess.Popen[bytes]"]]
SECONDS = 120.0
HANGING = {
    "MAILMESH_WORKFLOWS_GRAPHS": "hang=tests.wire.workflows.hanging_steps:graph",
    "MAILMESH_WORKFLOWS_STARTS": "hang=mail.created",
}


@pytest.fixture
def port() -> int:
    (found,) = free_ports(1)
    return found


@pytest.fixture
def environment(
    processor: Processor, workflows_database: TestDatabase, tls: Tls, tmp_path: Path, port: int
) -> dict[str, str]:
    own = tls("workflows")
    given = {
        "MAILMESH_DATABASE_URL": workflows_database.url,
        "MAILMESH_LISTEN": f"127.0.0.1:{port}",
        "MAILMESH_PROCESSOR_ADDRESS": f"127.0.0.1:{processor.server.port}",
        "MAILMESH_TLS_CERT": str(own.certificate),
        "MAILMESH_TLS_KEY": str(own.key),
        "MAILMESH_TLS_CA": str(own.authority),
        "MAILMESH_WORKFLOWS_KEYS": f"one:{base64.b64encode(os.urandom(32)).decode()}",
        "MAILMESH_WORKFLOWS_GRAPHS": "noted=tests.wire.workflows.noted_steps:graph",
        "MAILMESH_WORKFLOWS_STARTS": "noted=mail.created",
        "MAILMESH_WORKFLOWS_LEASE_SECONDS": "1",
        "MAILMESH_WORKFLOWS_ATTEMPTS": "50",
        FOLDER: str(tmp_path),
    }
    return {**os.environ, **given}


def started(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    command = tethered((sys.executable, "-m", "services.workflows", "serve"))
    with log.open("ab") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output)


async def positions(database: TestDatabase) -> int:
    connection = await asyncpg.connect(database.url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM workflows.positions"))
    finally:
        await connection.close()


async def until(ask: Callable[[], Awaitable[Any]], what: str, log: Path) -> Any:
    for _ in range(int(SECONDS / 0.1)):
        try:
            if found := await ask():
                return found
        except grpc.RpcError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"not in {SECONDS:g} s: {what}\n{_end_of(log)}")


async def test_each_event_has_one_run_and_one_effect_of_each_step_whatever_is_killed(
    processor: Processor,
    workflows_database: TestDatabase,
    tls: Tls,
    environment: dict[str, str],
    port: int,
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    running = started(environment, log)
    try:
        await until(lambda: positions(workflows_database), "the filter has begun", log)
        wanted: list[str] = []
        for _ in range(4):
            for _ in range(15):
                wanted += await processor.publish(mail_draft())
            await asyncio.sleep(0.3)
            _kill(running)
            running.wait(30)
            running = started(environment, log)
        async with edge_channel(port, tls("envoy"), "workflows") as channel:
            stub = WorkflowServiceStub(channel)
            key = key_of("*")

            async def ended() -> list[pb2.WorkflowRun]:
                request = pb2.ListWorkflowRunsRequest(state=pb2.WORKFLOW_RUN_STATE_SUCCEEDED, page_size=1000)
                found = list((await stub.ListWorkflowRuns(request, metadata=key)).runs)
                return found if len(found) >= len(wanted) else []

            runs = await until(ended, "all runs end", log)
            repeated = await stub.StartWorkflow(
                pb2.StartWorkflowRequest(workflow="noted", event_id=wanted[0]), metadata=key
            )
            with pytest.raises(grpc.RpcError) as hidden:
                await stub.StartWorkflow(
                    pb2.StartWorkflowRequest(workflow="noted", event_id=wanted[0]), metadata=key_of(OTHER_TENANT)
                )

        async def told() -> list[str]:
            chosen = event_service_pb2.EventFilter(event_types=["workflow.*"])
            request = event_service_pb2.ListEventsRequest(cursor="earliest", filter=chosen, page_size=1000)
            page = await processor.events.ListEvents(request, metadata=processor.key(TENANT))
            return [one.workflow.run_id for one in page.events] if len(page.events) >= len(wanted) else []

        published = await until(told, "all events of runs", log)
    finally:
        _kill(running)
        running.wait(30)
    effects, executions = _noted(tmp_path)

    assert sorted(run.event_id for run in runs) == sorted(wanted)
    assert effects == Counter((event_id, step) for event_id in wanted for step in STEPS)
    assert sorted(published) == sorted(run.run_id for run in runs)
    assert {run.run_id for run in runs if run.event_id == wanted[0]} == {repeated.run.run_id}
    assert hidden.value.code() is grpc.StatusCode.NOT_FOUND
    # A process that is killed between an action and its checkpoint repeats the step, under the same key.
    assert len(executions) >= len(wanted) * len(STEPS)


async def test_a_process_whose_plain_steps_do_not_return_ends_and_says_so(
    processor: Processor, workflows_database: TestDatabase, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    bounds = {"MAILMESH_WORKFLOWS_RUNS_AT_ONCE": "2", "MAILMESH_WORKFLOWS_ATTEMPT_SECONDS": "1"}
    running = started(environment | HANGING | bounds, log)
    try:
        await until(lambda: positions(workflows_database), "the filter has begun", log)
        for _ in range(2):
            await processor.publish(mail_draft())
        code = await asyncio.to_thread(running.wait, SECONDS)
    finally:
        _kill(running)
        running.wait(30)

    assert code == 1, _end_of(log)
    assert "plain steps that do not return hold all threads: the process ends" in log.read_text()
    assert "Traceback" not in log.read_text()


async def test_a_process_stops_beside_a_plain_step_that_does_not_return(
    processor: Processor, workflows_database: TestDatabase, environment: dict[str, str], tmp_path: Path
) -> None:
    async def hangs() -> bool:
        return (tmp_path / "hangs").exists()

    log = tmp_path / "log"
    running = started(environment | HANGING, log)
    try:
        await until(lambda: positions(workflows_database), "the filter has begun", log)
        await processor.publish(mail_draft())
        await until(hangs, "the step hangs", log)
        running.terminate()
        code = await asyncio.to_thread(running.wait, 30)
    finally:
        _kill(running)
        running.wait(30)

    assert code == 0, _end_of(log)


def key_of(tenants: str) -> tuple[tuple[str, str], ...]:
    headers = {"key-id": "key-1", "role": "operator", "tenants": tenants, "abilities": "mail.read,mail.send"}
    return tuple((f"x-mailmesh-{name}", value) for name, value in headers.items())


def _noted(folder: Path) -> tuple[Counter[tuple[str, ...]], list[str]]:
    """Return the effects by event and step, and the executions."""
    names = [one.name.split() for one in folder.iterdir()]
    effects = Counter((name[0], name[1]) for name in names if len(name) == 3)
    return effects, (folder / "executions").read_text().splitlines()


def _end_of(log: Path) -> str:
    return log.read_text()[-4000:]


def _kill(running: "subprocess.Popen[bytes]") -> None:
    running.kill()
