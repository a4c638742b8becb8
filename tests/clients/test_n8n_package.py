"""The package for n8n compiles, passes its tests in Node's own runner, and keeps n8n's rules for its manifest."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clients.n8n_package import COMPILER, PACKAGE, build
from tests.programs.toolchains import require
from tools.documents import read_yaml
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(300)
OPENAPI = ROOT / "gen" / "openapi" / "openapi.yaml"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built package, below the folder that holds n8n-workflow."""
    require("node", str(COMPILER))
    return build(ROOT / ".cache" / "clients" / f"n8n-{tmp_path_factory.getbasetemp().name}")


def test_the_tests_of_the_nodes_pass(built: Path, tmp_path: Path) -> None:
    contract = tmp_path / "contract.json"
    contract.write_text(json.dumps(operations()))
    done = subprocess.run(
        ["node", "--test", *sorted(map(str, (PACKAGE / "test").glob("*.test.mjs")))],
        cwd=ROOT,
        env={
            **os.environ,
            "dist": str(built / "dist"),
            "contract": str(contract),
            "vectors": str(ROOT / "clients/conformance/webhooks.json"),
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail 0" in done.stdout


def test_the_manifest_keeps_the_rules_of_verified_nodes() -> None:
    manifest = json.loads((PACKAGE / "package.json").read_text())

    assert "MIT" == manifest["license"]
    assert (PACKAGE / "LICENSE.md").read_text().startswith("MIT License")
    assert {"n8n-workflow": "*"} == manifest["peerDependencies"]
    assert not {"dependencies", "overrides", "bundleDependencies"} & manifest.keys()
    assert {"build", "lint"} == manifest["scripts"].keys()
    assert (1, True) == (manifest["n8n"]["n8nNodesApiVersion"], manifest["n8n"]["strict"])
    assert "n8n-community-node-package" in manifest["keywords"]


def test_the_manifest_names_the_files_that_the_compiler_writes(built: Path) -> None:
    named = json.loads((PACKAGE / "package.json").read_text())["n8n"]

    for path in (*named["nodes"], *named["credentials"]):
        assert (built / path).is_file(), path


def operations() -> dict[str, dict[str, list[str]]]:
    """Return the operations of the OpenAPI document: the names of their parameters, body fields and answer fields."""
    document = read_yaml(OPENAPI.read_text())
    found = {}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
            parameters = operation.get("parameters", [])
            found[f"{verb.upper()} {path}"] = {
                "path": [one["name"] for one in parameters if one["in"] == "path"],
                "query": [one["name"] for one in parameters if one["in"] == "query"],
                "body": _names(document, body),
                "answer": _names(document, answer.get("schema", {})),
            }
    return found


def _names(document: Any, schema: Any, depth: int = 2) -> list[str]:
    """Return the names of a schema's fields, with dots for those of its parts."""
    parts = schema.get("allOf", [schema])
    fields: dict[str, Any] = {}
    for part in parts:
        name = part.get("$ref", "").rpartition("/")[2]
        fields |= (document["components"]["schemas"][name] if name else part).get("properties", {})
    found = list(fields)
    if depth > 1:
        found += [f"{name}.{inner}" for name, field in fields.items() for inner in _names(document, field, depth - 1)]
    return found
