"""A real n8n with the package of mailmesh, beside the running mesh: the workflow answers each mail once."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.n8n_package import PACKAGE
from tests.mesh.accounts import connect, new_address, subscribe
from tests.programs.mesh import Mesh, eventually
from tests.programs.n8n import N8n, running_n8n

pytestmark = [pytest.mark.timeout(900), pytest.mark.n8n]
WORKFLOW = PACKAGE / "workflows" / "reply.json"
SERVICES = ("delivery", "processor", "worker-1", "ingest-1", "token-vault")


@pytest.fixture(scope="module")
def n8n(tmp_path_factory: pytest.TempPathFactory) -> Iterator[N8n]:
    with running_n8n(tmp_path_factory.mktemp("n8n")) as started:
        started.set_up_owner()
        yield started


@pytest.fixture(scope="module")
def credential(mesh: Mesh, n8n: N8n) -> dict[str, str]:
    """The credential of a key with the rights that answering needs, tested by n8n itself."""
    words = ("--role", "operator", "--ability", "mail.read", "--ability", "mail.send")
    key = mesh.run("keys", "create", "n8n", *words).stdout.strip()
    data = {"baseUrl": mesh.ready.http, "apiKey": key}
    made: dict[str, Any] = {"name": "mailmesh", "type": "mailmeshApi", "data": data}
    found = n8n.call("POST", "/rest/credentials", made)
    tested = n8n.call("POST", "/rest/credentials/test", {"credentials": {**made, "id": found["id"]}})
    wrong = {**made, "data": {**data, "apiKey": "mm_wrong"}, "id": found["id"]}
    assert ("OK", "Error") == (
        tested["status"],
        n8n.call("POST", "/rest/credentials/test", {"credentials": wrong})["status"],
    )
    return {"id": found["id"], "name": "mailmesh"}


@pytest.fixture(scope="module")
def account(mesh: Mesh) -> tuple[str, str]:
    """A connected account with a subscription: its address and its tenant."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ["mail.read", "mail.send"])
    subscribe(mesh, tenant)
    return address, tenant


def imported(n8n: N8n, credential: dict[str, str], tenant: str) -> dict[str, Any]:
    """Imports the workflow of the package. A package in a folder of its own has the prefix CUSTOM in n8n."""
    text = WORKFLOW.read_text().replace("n8n-nodes-mailmesh.", "CUSTOM.")
    workflow = json.loads(text)
    for node in (one for one in workflow["nodes"] if "credentials" in one):
        node["credentials"]["mailmeshApi"] = credential
    workflow["nodes"][0]["parameters"]["tenantIds"] = tenant
    made: dict[str, Any] = n8n.call("POST", "/rest/workflows", workflow)
    return made


def endpoints(mesh: Mesh, n8n: N8n) -> list[dict[str, Any]]:
    """Lists the endpoints that lead to n8n."""
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        listed = client.get("/v1/endpoints", params={"pageSize": 1000}).json().get("endpoints", [])
    return [one for one in listed if one["url"].startswith(n8n.url)]


def answers(mesh: Mesh, sender: str) -> Counter[str]:
    """Counts the mails that came back to a sender, by subject."""
    return Counter(mail["subject"] for mail in mesh.simulator.truth(sender)["messages"])


def test_n8n_offers_the_nodes_and_the_tool(n8n: N8n) -> None:
    offered = {node["name"] for node in n8n.client.get("/types/nodes.json").json()}

    assert {"mailmeshTrigger", "mailmeshPollTrigger", "mailmesh", "mailmeshTool"} <= {
        name.removeprefix("CUSTOM.") for name in offered if name.startswith("CUSTOM.")
    }


def test_each_mail_is_answered_once_over_kills_of_n8n_and_of_the_mesh(
    mesh: Mesh, n8n: N8n, credential: dict[str, str], account: tuple[str, str]
) -> None:
    address, tenant = account
    sender = new_address(mesh, "ms365")
    workflow = imported(n8n, credential, tenant)
    n8n.activate(workflow)
    (endpoint,) = eventually(lambda: endpoints(mesh, n8n))
    assert ("ENDPOINT_SIGNATURE_V1A", [tenant]) == (endpoint["signature"], endpoint["filter"]["tenantIds"])
    wanted: Counter[str] = Counter()

    def deliver(count: int) -> None:
        for _ in range(count):
            subject = f"Question {len(wanted)}"
            mesh.simulator.deliver(address, subject=subject, text="When?", **{"from": sender})
            wanted[f"RE: {subject}"] = 1

    def all_are_answered() -> bool:
        return answers(mesh, sender).keys() >= wanted.keys()

    # A machine's mail is seen before the first question, and is not answered.
    machine = {"Auto-Submitted": "auto-replied"}
    mesh.simulator.deliver(address, subject="Out of office", text="Away.", headers=machine, **{"from": sender})
    deliver(1)
    eventually(all_are_answered, 120)
    deliver(6)
    eventually(lambda: len(answers(mesh, sender)) > 2, 120)
    n8n.kill()
    deliver(2)
    n8n.start()
    eventually(all_are_answered, 200)
    deliver(4)
    for name in SERVICES:
        mesh.kill(name)
    eventually(all_are_answered, 200)
    assert mesh.simulator.wait_until_idle(60)

    assert wanted == answers(mesh, sender)
    assert [endpoint["endpointId"]] == [one["endpointId"] for one in endpoints(mesh, n8n)]
    current = n8n.call("GET", f"/rest/workflows/{workflow['id']}")
    n8n.call("POST", f"/rest/workflows/{current['id']}/deactivate", {})
    eventually(lambda: not endpoints(mesh, n8n), 60)


def test_the_poll_trigger_passes_on_each_event_once(
    mesh: Mesh, n8n: N8n, credential: dict[str, str], account: tuple[str, str], tmp_path: Path
) -> None:
    address, tenant = account
    trigger = {
        "id": "7b1d0a52-0001-4000-8000-000000000011",
        "name": "Poll",
        "type": "CUSTOM.mailmeshPollTrigger",
        "typeVersion": 1,
        "position": [0, 0],
        "credentials": {"mailmeshApi": credential},
        "parameters": {
            "tenantIds": tenant,
            "eventTypes": "mail.created",
            # n8n polls once in a minute at most: it activates no workflow that wants more, and says so in its log only.
            "pollTimes": {"item": [{"mode": "everyMinute"}]},
        },
    }
    workflow = n8n.call(
        "POST", "/rest/workflows", {"name": "Poll", "nodes": [trigger], "connections": {}, "settings": {}}
    )
    n8n.activate(workflow)

    def cursor() -> str:
        stored = n8n.call("GET", f"/rest/workflows/{workflow['id']}").get("staticData") or {}
        return str(stored.get("node:Poll", {}).get("cursor", ""))

    # The first poll is a part of the activation, and n8n stores its cursor: no event from then on is lost, even if n8n
    # restarts before the first one.
    eventually(cursor, 120)
    n8n.kill()
    deliver(mesh, address, "Polled 0")
    n8n.start()
    eventually(lambda: len(polled(n8n, workflow["id"])) >= 1, 150)
    deliver(mesh, address, "Polled 1")
    deliver(mesh, address, "Polled 2")
    eventually(lambda: len(polled(n8n, workflow["id"])) >= 3, 150)
    n8n.kill()
    n8n.start()
    deliver(mesh, address, "Polled 3")
    subjects = eventually(lambda: found if len(found := polled(n8n, workflow["id"])) >= 4 else [], 150)

    assert [f"Polled {number}" for number in range(4)] == sorted(subjects)


def deliver(mesh: Mesh, address: str, subject: str) -> None:
    """Let a mail arrive at an account."""
    mesh.simulator.deliver(address, subject=subject, text="x", **{"from": "ada@example.test"})


def polled(n8n: N8n, workflow_id: str) -> list[str]:
    """Returns the subjects of the events that executions of a workflow got."""
    chosen = json.dumps({"workflowId": workflow_id})
    listed = n8n.client.get("/rest/executions", params={"filter": chosen}).json()["data"]["results"]
    found: list[str] = []
    for one in listed:
        data = n8n.call("GET", f"/rest/executions/{one['id']}")["data"]
        found += [text for text in json.loads(data) if isinstance(text, str) and text.startswith("Polled ")]
    return found


def test_a_workflow_classifies_a_text_and_extracts_its_fields(mesh: Mesh, n8n: N8n, credential: dict[str, str]) -> None:
    webhook = {
        "id": "7b1d0a52-0001-4000-8000-000000000021",
        "name": "Webhook",
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2,
        "position": [0, 0],
        "webhookId": "7b1d0a52-0001-4000-8000-0000000000fe",
        "parameters": {"httpMethod": "POST", "path": "primitives", "responseMode": "lastNode", "options": {}},
    }
    labels = [
        {"name": "bill", "examples": ["The amount on your bill is wrong."]},
        {"name": "delivery", "examples": ["Where is my parcel?", "My order has not arrived."]},
    ]
    properties = {"total": {"format": "amount"}, "label": {"enum": ["bill", "delivery"]}}
    classify = {"operation": "classify", "text": "={{ $json.body.text }}", "labels": json.dumps(labels)}
    fields = {
        "operation": "fields",
        "text": "={{ $json.label + '\\n' + $('Webhook').item.json.body.text }}",
        "schema": json.dumps({"type": "object", "properties": properties}),
    }
    steps = [
        {
            "id": f"7b1d0a52-0001-4000-8000-00000000002{place}",
            "name": name,
            "type": "CUSTOM.mailmesh",
            "typeVersion": 1,
            "position": [220 * place, 0],
            "credentials": {"mailmeshApi": credential},
            "parameters": {"resource": "primitive", **parameters},
        }
        for place, (name, parameters) in enumerate({"Classify": classify, "Fields": fields}.items(), 2)
    ]
    connections = {
        one: {"main": [[{"node": next_one, "type": "main", "index": 0}]]}
        for one, next_one in (("Webhook", "Classify"), ("Classify", "Fields"))
    }
    made = {"name": "Primitives", "nodes": [webhook, *steps], "connections": connections, "settings": {}}
    n8n.activate(n8n.call("POST", "/rest/workflows", made))
    text = {"text": "Two of the five chairs are missing from the parcel.\nTotal: 1.234,56 EUR"}

    def answered() -> dict[str, Any] | None:
        answer = httpx.post(f"{n8n.url}/webhook/primitives", json=text, timeout=60, trust_env=False)
        found: dict[str, Any] | None = answer.json() if answer.status_code == httpx.codes.OK else None
        return found

    found = eventually(answered, 60)
    assert {"label": "delivery", "total": "1234.56 EUR"} == {
        field["name"]: field["values"][0]["value"] for field in found["fields"]
    }
