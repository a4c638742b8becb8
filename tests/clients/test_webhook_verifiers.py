"""The verifiers of examples/webhooks, in five languages, accept and refuse the vectors as these say."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.delivery.signature import sign
from services.delivery.signing_keys import Ed25519Key, HmacKey
from tests.factories import webhook_vectors as vectors
from tests.programs.toolchains import require
from tools.generate.protos import CACHE, ROOT

# The first build of the crate `ring` takes a minute on a busy machine.
pytestmark = pytest.mark.timeout(400)
EXAMPLES = ROOT / "examples" / "webhooks"
CASES = json.loads(vectors.FILE.read_text())["cases"]
# Cargo's words for a registry that does not answer: no fault of the example.
UNREACHABLE = re.compile("failed to (download|get|fetch|load source)|Could not resolve host|spurious network")


def run(command: list[str], folder: Path = EXAMPLES, cases: str = "", **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        input=cases,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def python(_out: Path) -> list[str]:
    return [sys.executable, str(EXAMPLES / "verify.py")]


def typescript(out: Path) -> list[str]:
    compiler = ROOT / "node_modules" / ".bin" / "tsc"
    require("node", str(compiler))
    run([str(compiler), "--project", str(EXAMPLES), "--outDir", str(out)])
    (out / "package.json").symlink_to(ROOT / "package.json")
    return ["node", str(out / "verify.js")]


def go(out: Path) -> list[str]:
    require("go")
    run(["go", "build", "-o", str(out / "verify"), "verify.go"], GOTOOLCHAIN="local", GOFLAGS="")
    return [str(out / "verify")]


def java(out: Path) -> list[str]:
    require("javac", "java")
    run(["javac", "-Xlint:all", "-Werror", "-d", str(out), "Verify.java"])
    return ["java", "-cp", str(out), "Verify"]


def rust(out: Path) -> list[str]:
    require("cargo")
    folder = shutil.copytree(EXAMPLES / "rust", out / "rust")
    try:
        run(["cargo", "build", "--quiet"], folder, CARGO_TARGET_DIR=str(CACHE / "rust"), RUSTFLAGS="-D warnings")
    except AssertionError as fault:
        if UNREACHABLE.search(str(fault)):
            pytest.skip("Cargo cannot fetch the crates")
        raise
    return [str(shutil.copy(CACHE / "rust" / "debug" / "verify", out / "verify"))]


@pytest.fixture(scope="module", params=[python, typescript, go, java, rust], ids=lambda language: language.__name__)
def verifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    build: Callable[[Path], list[str]] = request.param
    return build(tmp_path_factory.mktemp(build.__name__))


def line(now: int, headers: tuple[str, str, str], body: str, keys: list[str]) -> str:
    return "\t".join((str(now), *headers, body, " ".join(keys)))


def test_a_verifier_decides_about_each_vector_as_it_says(verifier: list[str]) -> None:
    lines = [
        line(
            case["now"],
            (case["webhookId"], case["webhookTimestamp"], case["webhookSignature"]),
            case["bodyBase64"],
            case["keys"],
        )
        for case in CASES
    ]
    found = run(verifier, cases="\n".join(lines) + "\n").splitlines()

    wanted = {case["name"]: case["outcome"] for case in CASES}
    assert wanted == dict(zip(wanted, found, strict=True))


def test_a_verifier_accepts_what_mailmesh_signs_with_new_keys(verifier: list[str]) -> None:
    shared, pair = HmacKey.generate(), Ed25519Key.generate()
    sent_at = vectors.moment()
    headers = tuple(sign([shared, pair], "event-1", sent_at, vectors.BODY).values())
    keys = [shared.write().reveal()], [pair.public().write()], [HmacKey.generate().write().reveal()]
    cases = [line(int(sent_at.timestamp()), headers, vectors.encoded(vectors.BODY), trusted) for trusted in keys]

    assert ["accepted", "accepted", "signature_wrong"] == run(verifier, cases="\n".join(cases) + "\n").splitlines()
