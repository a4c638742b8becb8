"""The release of Processor before its newest migration, from the history of this repository."""

import io
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSIONS = ROOT / "services" / "processor" / "migrations" / "versions"
_SECONDS = 60.0


class NoEarlierReleaseError(Exception):
    """The history is not here; the message says why."""


def newest_migration() -> Path:
    """Return the newest migration of Processor."""
    return max(VERSIONS.glob("[0-9]*_*.py"))


def unpack_earlier_release(folder: Path) -> str:
    """Unpack the services as they were before the newest migration of Processor was added.

    Args:
        folder: A new folder, which becomes a tree that Python can run modules from.

    Returns:
        The first characters of the commit.

    Raises:
        NoEarlierReleaseError: The sources are no clone with the history of that time.
    """
    path = str(newest_migration().relative_to(ROOT))
    added = _git("log", "--diff-filter=A", "--format=%H", "--", path).decode().split()
    if not added:
        raise NoEarlierReleaseError(f"{path} is not committed")
    commit = _git("rev-parse", f"{added[-1]}^").decode().strip()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "services", "gen/python"))) as archive:
        archive.extractall(folder, filter="data")
    if (folder / path).exists():
        raise NoEarlierReleaseError(f"{commit[:12]} has {path} already")
    return commit[:12]


def environment(tree: Path) -> dict[str, str]:
    """Return the variables with which Python runs modules of an unpacked release, in place of those of this tree."""
    return {"PYTHONPATH": f"{tree}:{tree / 'gen' / 'python'}", "PYTHONSAFEPATH": "1"}


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(("git", "-C", str(ROOT), *arguments), capture_output=True, timeout=_SECONDS, check=True)
    except FileNotFoundError:
        raise NoEarlierReleaseError("git is not installed") from None
    except subprocess.CalledProcessError as fault:
        raise NoEarlierReleaseError(fault.stderr.decode(errors="replace").strip()) from fault
    return done.stdout
