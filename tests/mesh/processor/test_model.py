"""The named model on the running mesh: by REST and the command line, off for each tenant until it is allowed."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mesh.accounts import connect, new_address
from tests.programs.mesh import Mesh

pytestmark = pytest.mark.timeout(300)
TEXT = "Two of the five chairs that we ordered are missing from the parcel.\nTotal: 30,00 EUR"
LABELS = [
    {"name": "bill", "examples": ["The amount on your bill is wrong."]},
    {"name": "delivery", "examples": ["Where is my parcel?", "My order has not arrived."]},
]
SCHEMA = {"type": "object", "required": ["total"], "properties": {"total": {"format": "amount"}}}


def test_a_tenant_that_allows_it_asks_the_model_by_rest_and_the_command_line(mesh: Mesh, tmp_path: Path) -> None:
    tenant = connect(mesh, "ms365", new_address(mesh, "ms365"), ["mail.read"])
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    with httpx.Client(base_url=mesh.ready.http, timeout=60, trust_env=False) as client:
        client.headers["authorization"] = f"Bearer {mesh.key}"

        def post(verb: str, **body: Any) -> httpx.Response:
            return client.post(f"/v1/tenants/{tenant}:{verb}", json=body)

        refused = post("classifyByModel", text=TEXT, labels=LABELS)
        enabled = json.loads(mesh.run("model", "enable", tenant, "--json").stdout)
        classified = post("classifyByModel", text=TEXT, labels=LABELS)
        extracted = post("extractByModel", text=TEXT, schema=SCHEMA)
        listed = client.get(f"/v1/tenants/{tenant}/model-calls", params={"pageSize": 1}).json()
        following = client.get(
            f"/v1/tenants/{tenant}/model-calls", params={"pageSize": 1, "pageToken": listed["nextPageToken"]}
        ).json()
    by_command = mesh.run(
        *(
            "model",
            "classify",
            tenant,
            str(file),
            "--label=bill=The amount is wrong.",
            "--label=delivery=My parcel?",
            "--json",
        )
    )
    fields = mesh.run("model", "extract", tenant, str(file), "--field", "total=amount")
    calls = mesh.run("model", "calls", tenant)
    disabled = json.loads(mesh.run("model", "disable", tenant, "--json").stdout)

    assert "MODEL_NOT_ENABLED" == refused.json()["details"][0]["reason"]
    assert (True, "simulated-model", False) == (
        enabled["settings"]["isEnabled"], enabled["state"]["model"], enabled["state"]["isOutside"],
    )  # fmt: skip
    assert ("delivery", "model/simulated-model") == (classified.json()["label"], classified.json()["method"])
    total = extracted.json()["answer"]["fields"][0]["values"][0]
    assert ("30.00 EUR", "30,00 EUR") == (total["value"], total["source"])
    assert ("extract", "classify") == (listed["calls"][0]["operation"], following["calls"][0]["operation"])
    assert "" == following["nextPageToken"]
    assert "delivery" == json.loads(by_command.stdout)["label"], by_command.stderr
    assert "30.00 EUR" in fields.stdout, fields.stderr
    assert 4 == calls.stdout.count("simulated-model"), calls.stderr
    assert disabled["settings"] == {"isEnabled": False, "mayLeaveMachine": False}
