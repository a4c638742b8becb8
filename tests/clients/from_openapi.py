"""The same program in three languages over clients that public generators make from the OpenAPI document."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.programs import Program
from tests.programs.toolchains import require
from tools.generate.protos import ROOT

DOCUMENT = ROOT / "gen" / "openapi" / "openapi.yaml"
SOURCES = ROOT / "tests" / "clients" / "openapi"
BUILD_SECONDS = 180


def build(language: str, out: Path) -> Program:
    """Generates a client, and compiles the program over it.

    Args:
        language: "python", "typescript" or "go".
        out: An empty folder of this process alone.
    """
    return {"python": _python, "typescript": _typescript, "go": _go}[language](out)


def _python(out: Path) -> Program:
    package = out / "mailmesh_rest"
    generator = str(Path(sys.executable).with_name("openapi-python-client"))
    # --meta none: the package alone. The generator ends with 1 when it could not read an operation.
    configuration = out / "generator.yaml"
    configuration.write_text("post_hooks: []\n")
    arguments = ["generate", "--path", str(DOCUMENT), "--output-path", str(package), "--meta", "none"]
    _run([generator, *arguments, "--config", str(configuration)], out)
    return Program((sys.executable, str(SOURCES / "read.py")), {"PYTHONPATH": str(out)})


def _typescript(out: Path) -> Program:
    programs = ROOT / "node_modules" / ".bin"
    require("node", str(programs / "tsc"), str(programs / "swagger-typescript-api"))
    (out / "node_modules").symlink_to(ROOT / "node_modules")
    (out / "package.json").symlink_to(ROOT / "package.json")
    _run(
        [str(programs / "swagger-typescript-api"), "generate", "-p", str(DOCUMENT), "-o", str(out), "-n", "api.ts"], out
    )
    shutil.copy(SOURCES / "read.ts", out)
    strict = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "--skipLibCheck"]
    _run([str(programs / "tsc"), *strict, "read.ts"], out)
    return Program(("node", str(out / "read.js")))


def _go(out: Path) -> Program:
    generator = str(ROOT / ".cache" / "go" / "bin" / "oapi-codegen")
    require("go", generator)
    shutil.copytree(SOURCES / "go", out, dirs_exist_ok=True)
    (out / "api").mkdir()
    _run([generator, "-generate", "types,client", "-package", "api", "-o", "api/api.go", str(DOCUMENT)], out)
    _run(["go", "build", "-o", "read", "."], out)
    return Program((str(out / "read"),))


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
