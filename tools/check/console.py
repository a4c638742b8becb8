"""Checks that the console's sources have their types, and that console/dist is a build of them, byte by byte."""

import filecmp
import gzip
import subprocess
import tempfile
from pathlib import Path

from gateway.console import read_console
from tools.check.outcome import CheckError, Skipped
from tools.generate.protos import ROOT

_BUILD_SECONDS = 120
# The compressed bytes of the first load.
_MOST_BYTES = 300_000


def types() -> str:
    """Check the types of the console's sources."""
    _run(str(ROOT / "node_modules/.bin/tsc"), "-p", str(ROOT / "console"))
    return "console/src"


def fresh() -> str:
    """Build into a temporary folder, and compare it with console/dist.

    Raises:
        CheckError: A file differs, is no file of a build, or the first load is too large.
        Skipped: Node's packages are not installed.
    """
    committed = ROOT / "console/dist"
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "dist"
        _run("node", str(ROOT / "console/build.mjs"), str(built))
        names = sorted({path.name for folder in (built, committed) for path in folder.iterdir()})
        _, differing, missing = filecmp.cmpfiles(built, committed, names, shallow=False)
    if differing or missing:
        raise CheckError("run `make console` and commit:\n" + "\n".join([*differing, *missing]))
    if warnings := read_console(committed).warnings:
        raise CheckError("\n".join(warnings))
    return f"{', '.join(names)}; {_within_bound(committed):,} bytes compressed"


def _within_bound(folder: Path) -> int:
    size = sum(len(gzip.compress(path.read_bytes())) for path in folder.iterdir())
    if size > _MOST_BYTES:
        raise CheckError(f"the first load has {size:,} bytes compressed, {_MOST_BYTES:,} at most")
    return size


def _run(*command: str) -> None:
    if not (ROOT / "node_modules/esbuild").exists():
        raise Skipped("node_modules is not installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False, cwd=ROOT)
    if done.returncode != 0:
        raise CheckError(done.stdout + done.stderr)
