"""The workflow for n8n fits together, and what it asks the edge for is answered."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.clients.served import ADMIN_KEY, ServedEdge
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(300)
WORKFLOW: Any = json.loads((ROOT / "examples" / "n8n" / "new-mail.json").read_text())
NODES = {node["name"]: node for node in WORKFLOW["nodes"]}


def after(name: str) -> list[str]:
    """Returns the nodes that a node hands on to."""
    return [step["node"] for way in WORKFLOW["connections"].get(name, {}).get("main", []) for step in way]


def test_every_connection_joins_nodes_that_are_there_and_none_is_left_out() -> None:
    joined = {"Every minute"} | {name for node in NODES for name in after(node)}

    assert joined == set(NODES)
    assert set(WORKFLOW["connections"]) <= set(NODES)


def test_the_command_line_can_import_it() -> None:
    """n8n's command `import:workflow` inserts the file's row as it is: without an id and a state the insert fails."""
    assert re.fullmatch(r"[A-Za-z0-9]{16}", WORKFLOW["id"])
    assert WORKFLOW["active"] is False
    assert {"id", "name", "type", "typeVersion", "position", "parameters"} <= set.intersection(
        *map(set, NODES.values())
    )


def test_the_cursor_is_kept_only_after_the_work() -> None:
    assert after("Your work here") == ["Keep the cursor"]
    assert after("One item per event") == ["Your work here"]
    assert after("Anything new?") == ["One item per event", "Keep the cursor"]


async def test_the_edge_answers_what_the_workflow_asks(edge: ServedEdge) -> None:
    node = NODES["Read events"]["parameters"]
    query = {item["name"]: item["value"] for item in node["queryParameters"]["parameters"]}
    query["cursor"] = "earliest"
    path = httpx.URL(node["url"]).path
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=edge.url, headers=headers, timeout=60) as client:
        answer = await client.get(path, params=query)

    assert answer.status_code == 200, answer.text
    assert len(answer.json()["events"]) == 9
    assert answer.json()["nextCursor"] == "9"
