"""Clients that public generators make from the OpenAPI document decode the running mesh's answers without loss."""

import asyncio
import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.from_openapi import build
from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually

# Generating and compiling come first.
pytestmark = pytest.mark.timeout(400)
JSON = Any
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def meaning(value: JSON) -> JSON:
    """Returns a JSON value with moments as moments: languages write them with more or fewer digits."""
    match value:
        case dict():
            return {name: meaning(part) for name, part in value.items()}
        case list():
            return [meaning(part) for part in value]
        case str() if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value)
    return value


@pytest.fixture(scope="module")
def tenant(mesh: Mesh) -> str:
    """A tenant with a subscription and three mails."""
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    file = {"name": "größe.txt", "contentType": "text/plain", "base64": "aGFsbG8="}
    for number in range(3):
        fields = {"from": "Ada <ada@example.test>", "cc": ["bob@example.test"], "attachments": [file]}
        mesh.simulator.deliver(address, subject=f"Nr. {number}: ünï", html="<p>Hello</p>", **fields)
    eventually(lambda: len(created_events(mesh, tenant)) >= 3)
    return tenant


@pytest.mark.parametrize("language", ["python", "typescript", "go"])
def test_a_generated_client_compiles_and_decodes_everything(
    language: str, mesh: Mesh, tenant: str, tmp_path: Path
) -> None:
    absent = str(uuid.uuid4())
    status, lines, complaint = asyncio.run(build(language, tmp_path).run(mesh.ready.http, mesh.key, tenant, absent))
    assert status == 0, complaint
    told = json.loads("\n".join(lines))
    told["events"] = told["events"]["events"]

    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        event = told["events"][0]["mail"]["eventId"]
        query = {"filter.tenantIds": tenant, "filter.eventTypes": "mail.*", "view": "EVENT_VIEW_FULL"}
        expected = {
            # The cursor after them moves with every event of the mesh.
            "events": client.get("/v1/events", params=query).json()["events"],
            "event": client.get(f"/v1/events/{event}").json(),
            "refusal": client.get(f"/v1/tenants/{absent}").json(),
            "tenant": client.get(f"/v1/tenants/{tenant}").json(),
        }
        pipeline = client.get("/v1/pipeline").json()
        subscriptions = client.get("/v1/subscriptions", params={"tenantId": tenant}).json()
    assert meaning({name: told[name] for name in expected}) == meaning(expected)
    assert told["renamed"]["tenant"]["displayName"] == told["tenant"]["tenant"]["displayName"] == "Ünï"
    assert told["enabled"]["tenant"]["status"] == "TENANT_STATUS_ACTIVE"
    assert told["refusal"]["details"][0]["reason"] == "TENANT_NOT_FOUND"
    # Times and counts of these two change from moment to moment.
    assert set(told["pipeline"]) == set(pipeline)
    assert ids(told["subscriptions"]) == ids(subscriptions) != []


def ids(answer: JSON) -> list[str]:
    """Returns the ids of the subscriptions of a page."""
    return [one["subscriptionId"] for one in answer["subscriptions"]]
