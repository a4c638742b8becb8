"""The same program in three languages, built from examples/ and gen/, and run as its users run it."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.programs.toolchains import require
from tools.generate.protos import ROOT

RUN_SECONDS = 60
BUILD_SECONDS = 180
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Program:
    """An example as a command, with its environment variables beside those of the edge and the key."""

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    async def run(self, url: str, key: str, *arguments: str) -> tuple[int, list[str], str]:
        """Runs it to its end; returns the exit status, the lines of its output, and its error output."""
        surroundings = {"PATH": os.environ["PATH"], "MAILMESH_URL": url, "MAILMESH_API_KEY": key, **self.environment}
        process = await asyncio.create_subprocess_exec(
            *self.command, *arguments, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(RUN_SECONDS):
                output, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, output.decode().splitlines(), complaint.decode()


def python() -> Program:
    """The example in Python, which needs no building."""
    return Program((sys.executable, str(EXAMPLES / "python" / "follow.py")))


def typescript(out: Path, transport: str) -> Program:
    """Compiles the example in TypeScript, strictly, with all of gen/ts."""
    compiler = ROOT / "node_modules" / ".bin" / "tsc"
    require("node", str(compiler))
    _build([str(compiler), "--project", str(EXAMPLES / "ts"), "--outDir", str(out)], ROOT)
    # Where the compiled program finds its packages, and that it is a module.
    for name in ("node_modules", "package.json"):
        (out / name).symlink_to(ROOT / name)
    return Program(("node", str(out / "examples" / "ts" / "follow.js")), {"MAILMESH_TRANSPORT": transport})


def go(out: Path) -> Program:
    """Builds the example in Go, and everything in gen/go with it."""
    require("go")
    _build(["go", "build", "./..."], ROOT / "gen" / "go")
    _build(["go", "build", "-o", str(out / "follow"), "."], EXAMPLES / "go")
    return Program((str(out / "follow"),))


def _build(command: list[str], folder: Path) -> None:
    # Builds use the modules that the setup has fetched; a wrong checksum or a missing module fails the build.
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def build(language: str, out: Path) -> Program:
    """Makes an example ready to run.

    Args:
        language: "python", "typescript", "typescript-web" or "go".
        out: An empty folder of this process alone: other processes of the run build the same examples.
    """
    match language:
        case "python":
            return python()
        case "typescript":
            return typescript(out, "grpc")
        case "typescript-web":
            return typescript(out, "grpc-web")
        case _:
            return go(out)
