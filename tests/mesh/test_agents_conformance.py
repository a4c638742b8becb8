"""The official conformance package against /mcp, in both eras of the protocol.

The package asks for a server with sample tools, prompts and resources. /mcp has tools of its own and nothing else, so
those checks fail there. Each is listed with its reason; the test fails when one more fails, and when one less does.
"""

import json
import subprocess
from pathlib import Path

import pytest

from tests.mesh.test_agents import key_of
from tests.programs.adding_key import adding_key
from tests.programs.mesh import Mesh
from tests.programs.toolchains import require
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(600)

PACKAGE = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
SECONDS = 280
HANDSHAKE, CURRENT = "2025-11-25", "2026-07-28"
BOTH = frozenset({HANDSHAKE, CURRENT})
LEAST_PASSED = {HANDSHAKE: 30, CURRENT: 75}
"""A run that reaches nothing has no failure either: at least so many checks pass."""
ACCEPTED = {
    "/mcp has no prompts, resources, completions and log levels": {
        "completion-complete": BOTH,
        "logging-set-level": {HANDSHAKE},
        "prompts-get-embedded-resource": BOTH,
        "prompts-get-simple": BOTH,
        "prompts-get-with-args": BOTH,
        "prompts-get-with-image": BOTH,
        "prompts-list": BOTH,
        "resources-list": BOTH,
        "resources-read-binary": BOTH,
        "resources-read-text": BOTH,
        "resources-subscribe": {HANDSHAKE},
        "resources-templates-read": BOTH,
        "resources-unsubscribe": {HANDSHAKE},
        "sep-2549-prompts-list-caching-hints": {CURRENT},
        "sep-2549-resources-list-caching-hints": {CURRENT},
        "sep-2549-resources-templates-list-caching-hints": {CURRENT},
    },
    "the package's sample tools, with images, sounds, progress and schemas of their own, are not ours": {
        "json-schema-2020-12-tool-found": BOTH,
        "sep-2575-missing-capability-http-400": {CURRENT},
        "sep-2575-server-rejects-undeclared-capability": {CURRENT},
        "tools-call-audio": BOTH,
        "tools-call-embedded-resource": BOTH,
        "tools-call-image": BOTH,
        "tools-call-mixed-content": BOTH,
        "tools-call-with-logging": {HANDSHAKE},
        "tools-call-with-progress": BOTH,
    },
    "no tool asks the host for a form, a model or its folders: confirmations are arguments, which each host has": {
        "elicitation-sep1034-general": {HANDSHAKE},
        "elicitation-sep1330-general": {HANDSHAKE},
        "sep-2322-elicitation-incomplete": {CURRENT},
        "sep-2322-list-roots-incomplete": {CURRENT},
        "sep-2322-multi-round-r1": {CURRENT},
        "sep-2322-multiple-inputs-incomplete": {CURRENT},
        "sep-2322-non-tool-incomplete": {CURRENT},
        "sep-2322-reject-tampered-state": {CURRENT},
        "sep-2322-request-state-incomplete": {CURRENT},
        "sep-2322-respect-client-capabilities": {CURRENT},
        "sep-2322-result-type-included": {CURRENT},
        "sep-2322-sampling-incomplete": {CURRENT},
        "tools-call-elicitation": {HANDSHAKE},
        "tools-call-sampling": {HANDSHAKE},
    },
    "no tool mirrors an argument into a header": {
        "sep-2243-server-decode-base64": {CURRENT},
        "sep-2243-server-no-xmcp-tool": {CURRENT},
        "sep-2243-server-reject-invalid-param-chars": {CURRENT},
        "sep-2243-server-reject-param-mismatch": {CURRENT},
        "sep-2243-server-validate-param-match": {CURRENT},
    },
    "a page of localhost is as foreign as any other, unless the operator allows its origin": {
        "localhost-host-valid-accepted": BOTH,
    },
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as one file for the oldest Node that the repository supports.

    The package itself wants a newer one for `globSync`, which it needs for another command than `server`.
    """
    require("node", "node_modules/.bin/esbuild", PACKAGE)
    made = tmp_path_factory.mktemp("conformance") / "conformance.cjs"
    here = "const __here = require('node:url').pathToFileURL(__filename).href;"
    subprocess.run(
        [
            *("node_modules/.bin/esbuild", PACKAGE, "--bundle", "--platform=node", "--format=cjs", "--log-level=error"),
            *("--define:import.meta.url=__here", f"--banner:js={here}", f"--outfile={made}"),
        ],
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    return made


def statuses(package: Path, url: str, version: str, folder: Path) -> list[tuple[str, str]]:
    """Run all scenarios of a version of the protocol, and return the id and the status of each check."""
    command = ["node", str(package), "server", "--url", f"{url}/mcp", "--suite", "all"]
    subprocess.run(
        [*command, "--spec-version", version, "-o", "out"],
        cwd=folder,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("out/*/checks.json"))]
    return [(check["id"], check["status"]) for checks in found for check in checks]


@pytest.mark.parametrize("version", [HANDSHAKE, CURRENT])
def test_the_official_conformance_package_finds_the_accepted_failures_and_no_other(
    mesh: Mesh, package: Path, tmp_path: Path, version: str
) -> None:
    with adding_key(mesh.ready.http, key_of(mesh, "--role", "reader")) as url:
        found = statuses(package, url, version, tmp_path)

    accepted = {check for checks in ACCEPTED.values() for check, versions in checks.items() if version in versions}
    assert {check for check, status in found if status == "FAILURE"} == accepted
    assert sum(status == "SUCCESS" for _, status in found) >= LEAST_PASSED[version]
