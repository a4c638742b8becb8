"""The triage of the examples on the running mesh: started by the stream, killed at every step, answered by a person."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import pytest

from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from mailmesh.processor.v1 import send_service_pb2 as sends
from mailmesh.processor.v1 import send_service_pb2_grpc as send_services
from mailmesh.workflow.v1 import workflow_service_pb2 as pb2
from mailmesh.workflow.v1.workflow_service_pb2_grpc import WorkflowServiceStub
from tests.mesh.accounts import connect, new_address, subscribe
from tests.mesh.workflows.tormented import PLACE
from tests.programs.mesh import Mesh, eventually, running_mesh
from tests.security.doors import rest

pytestmark = pytest.mark.timeout(600)
ABILITIES = ["mail.read", "mail.mark", "mail.send"]
HERE = "tests.mesh.workflows"
STEPS = ("read", "classify", "mark", "draft", "ask")
TEXT = "My order INV-2026-0042 has not arrived yet. Where is it?"


@dataclass(frozen=True)
class Flows:
    """A mesh with the workflow, and the folder of its kills."""

    mesh: Mesh
    kills: Path


@pytest.fixture(scope="module")
def flows(short_folder: Path) -> Iterator[Flows]:
    kills, key_file = short_folder / "flow-kills", short_folder / "flow.key"
    kills.mkdir()
    environment = {
        "MAILMESH_WORKFLOWS_GRAPHS": f"triage={HERE}.tormented:graph,wait={HERE}.waiting:graph",
        "MAILMESH_WORKFLOWS_STARTS": "triage=mail.created",
        "MAILMESH_WORKFLOWS_API_KEY_FILE": str(key_file),
        "MAILMESH_WORKFLOWS_LEASE_SECONDS": "1",
        PLACE: str(kills),
    }
    with running_mesh(short_folder / "flows", environment=environment) as mesh:
        abilities = [word for ability in ABILITIES for word in ("--ability", ability)]
        made = mesh.run("keys", "create", "workflows", "--role", "operator", *abilities, "--json")
        key_file.write_text(json.loads(made.stdout)["secret"])
        yield Flows(mesh, kills)


def runs(mesh: Mesh, **chosen: Any) -> list[pb2.WorkflowRun]:
    return list(WorkflowServiceStub(mesh.channel).ListWorkflowRuns(pb2.ListWorkflowRunsRequest(**chosen)).runs)


def mails(mesh: Mesh, address: str) -> list[dict[str, Any]]:
    return list(mesh.simulator.truth(address)["messages"])


def text_of(mesh: Mesh, address: str, mail: dict[str, Any]) -> str:
    answer = mesh.simulator.call("GET", f"accounts/{address}/messages/{mail['id']}/eml")
    parts = message_from_bytes(base64.b64decode(answer["emlBase64"])).walk()
    contents = [part.get_payload(decode=True) for part in parts if part.get_content_maintype() == "text"]
    return "\n".join(content.decode() for content in contents if isinstance(content, bytes))


def workflow_events(mesh: Mesh, tenant: str) -> list[str]:
    chosen = events.EventFilter(tenant_ids=[tenant], event_types=["workflow.*"])
    request = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen)
    return [one.workflow.event_type for one in event_services.EventServiceStub(mesh.channel).ListEvents(request).events]


def test_a_run_that_is_killed_at_every_step_goes_on_and_does_nothing_twice(flows: Flows) -> None:
    mesh = flows.mesh
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ABILITIES)
    subscribe(mesh, tenant)
    mesh.simulator.deliver(address, subject="Order", text=TEXT)

    (waiting,) = eventually(
        lambda: runs(mesh, tenant_id=tenant, state=pb2.WORKFLOW_RUN_STATE_WAITING), 300, what="the run waits"
    )
    shown = json.loads(mesh.run("workflows", "get", waiting.run_id, "--json").stdout)
    question = json.loads(shown["question"])
    answer = json.dumps({"text": "It arrives tomorrow."})
    for _ in range(2):
        # The process is killed behind the first answer, so that the second is refused until it runs again.
        eventually(
            lambda: mesh.run("workflows", "resume", waiting.run_id, waiting.question_id, answer).returncode == 0,
            what="the answer is taken",
        )
    eventually(lambda: runs(mesh, tenant_id=tenant, state=pb2.WORKFLOW_RUN_STATE_SUCCEEDED), 120, what="it ends")
    stub = send_services.SendServiceStub(mesh.channel)
    asked = sends.ListSendsRequest(tenant_id=tenant)
    ended = (sends.SEND_STATE_SENT, sends.SEND_STATE_DRAFTED)
    eventually(lambda: {one.state for one in stub.ListSends(asked).sends} == set(ended), what="the sends end")
    done = stub.ListSends(asked).sends
    eventually(lambda: len(mails(mesh, address)) >= 3, what="the mails are there")
    own = mails(mesh, address)

    killed = {tuple(mark.name.split()[1:]) for mark in flows.kills.iterdir() if mark.name.startswith(waiting.run_id)}
    assert killed == {(step, phase) for step in STEPS for phase in ("before", "after")}
    assert question["label"] == "order"
    assert sorted(one.state for one in done) == sorted(ended)
    texts = [text_of(mesh, address, mail) for mail in own]
    assert len(own) == 3, texts
    assert sum("It arrives tomorrow." in text for text in texts) == 1
    assert sum("INV-2026-0042" in text and "We look into" in text for text in texts) == 1
    eventually(lambda: len(workflow_events(mesh, tenant)) >= 2, what="the events of the run")
    assert workflow_events(mesh, tenant) == ["workflow.waiting", "workflow.succeeded"]
    assert len(runs(mesh, tenant_id=tenant)) == 1


def test_runs_are_started_listed_answered_and_cancelled_over_rest(flows: Flows) -> None:
    mesh = flows.mesh
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ABILITIES)
    (event_id,) = eventually(lambda: _tenant_events(mesh, tenant), what="an event of the tenant")
    with rest(mesh, mesh.key) as client:
        started = client.post("/v1/workflow-runs", json={"workflow": "wait", "eventId": event_id})
        again = client.post("/v1/workflow-runs", json={"workflow": "wait", "eventId": event_id})
        unknown = client.post("/v1/workflow-runs", json={"workflow": "none", "eventId": event_id})
        run_id = started.json()["run"]["runId"]
        waiting = eventually(lambda: _waiting(client, run_id), what="the run waits")
        wrong = client.post(f"/v1/workflow-runs/{run_id}:resume", json={"questionId": "other", "answer": "true"})
        no_json = client.post(
            f"/v1/workflow-runs/{run_id}:resume", json={"questionId": waiting["questionId"], "answer": "{"}
        )
        cancelled = client.post(f"/v1/workflow-runs/{run_id}:cancel", json={})
        repeated = client.post(f"/v1/workflow-runs/{run_id}:cancel", json={})

    assert started.status_code == 200, started.text
    assert again.json()["run"]["runId"] == run_id
    assert unknown.json()["details"][0]["reason"] == "WORKFLOW_UNKNOWN"
    assert json.loads(waiting["question"]) == {"may": "go on"}
    assert wrong.json()["details"][0]["reason"] == "WORKFLOW_NOT_WAITING"
    assert no_json.json()["details"][0]["reason"] == "FIELD_INVALID"
    assert cancelled.json()["run"]["state"] == repeated.json()["run"]["state"] == "WORKFLOW_RUN_STATE_CANCELLED"
    eventually(lambda: len(workflow_events(mesh, tenant)) >= 2, what="the events of the run")
    assert workflow_events(mesh, tenant) == ["workflow.waiting", "workflow.cancelled"]


def _waiting(client: httpx.Client, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = client.get(f"/v1/workflow-runs/{run_id}").json()["run"]
    return run if run["state"] == "WORKFLOW_RUN_STATE_WAITING" else {}


def _tenant_events(mesh: Mesh, tenant: str) -> list[str]:
    chosen = events.EventFilter(tenant_ids=[tenant], event_types=["tenant.connected"])
    request = events.ListEventsRequest(page_size=10, cursor="earliest", filter=chosen)
    return [one.tenant.event_id for one in event_services.EventServiceStub(mesh.channel).ListEvents(request).events]
