"""Checks that gen/ equals a new generation from proto/, byte by byte."""

import contextlib
import filecmp
import io
import tempfile
from pathlib import Path

from tools.check.outcome import CheckError, Skipped
from tools.generate import __main__ as generation
from tools.generate import protos

# Maintained by hand beside the generated files.
_BY_HAND = {"go.mod", "go.sum"}


def drift() -> str:
    """Generate into a temporary folder and compare it with gen/.

    Raises:
        CheckError: A file differs.
        Skipped: A toolchain is absent; all compared parts are equal.
    """
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        fresh = Path(scratch) / "gen"
        skipped = generation.generate(list(generation.PARTS), fresh)
        compared = [part for part in generation.PARTS if part not in skipped]
        differing = [name for part in compared for name in differences(fresh, protos.ROOT / "gen", part)]
    if differing:
        raise CheckError("run `make gen` and commit:\n" + "\n".join(differing))
    if skipped:
        raise Skipped(f"no toolchain for {', '.join(skipped)}; equal: {', '.join(compared)}")
    return ", ".join(compared)


def differences(fresh: Path, committed: Path, part: str) -> list[str]:
    """Return the differing files of a part of gen/, each with its fault."""
    names = _files(fresh, part) | _files(committed, part)
    return [f"gen/{name}: {what}" for name in sorted(names) if (what := _difference(fresh / name, committed / name))]


def _files(folder: Path, part: str) -> set[str]:
    place = folder / part
    paths = [place] if place.is_file() else place.rglob("*")
    return {
        str(path.relative_to(folder))
        for path in paths
        if path.is_file() and path.name not in _BY_HAND and "__pycache__" not in path.parts
    }


def _difference(fresh: Path, committed: Path) -> str | None:
    if not committed.exists():
        return "is missing"
    if not fresh.exists():
        return "has no generator any more"
    return None if filecmp.cmp(fresh, committed, shallow=False) else "differs"
