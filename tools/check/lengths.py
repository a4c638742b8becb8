"""Check that files of code stay short enough to be read at once."""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.check.outcome import CheckError
from tools.generate.protos import ROOT

MAX_LINES = 350
_CODE = frozenset({".css", ".go", ".java", ".js", ".mjs", ".py", ".rs", ".sh", ".ts", ".tsx"})
_BUILT = ("gen/", "console/dist/")


def lengths() -> str:
    """Check that no file of code has more than `MAX_LINES` lines, except those that programs write.

    Raises:
        CheckError: A file has more. It has several subjects: split it by them.
    """
    files = list(_files())
    long = list(too_long(files))
    if long:
        raise CheckError(f"split each by its subjects, to {MAX_LINES} lines at most:\n" + "\n".join(long))
    return f"{len(files)} files"


def too_long(files: Iterable[Path]) -> Iterator[str]:
    """Yield each file that has more lines than `MAX_LINES`, with their number."""
    for file in files:
        lines = len(file.read_bytes().splitlines())
        if lines > MAX_LINES:
            yield f"{file}: {lines} lines"


def _files() -> Iterator[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    names = [name for name in listed.splitlines() if not name.startswith(_BUILT)]
    yield from (ROOT / name for name in names if Path(name).suffix in _CODE and (ROOT / name).exists())
