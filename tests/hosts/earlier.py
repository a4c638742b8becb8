"""Earlier releases of services, each from before its newest migration, from the history of this repository."""

import io
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_GENERATED = ("gen/python", "gen/mailmesh.binpb")
_SECONDS = 60.0


class NoEarlierReleaseError(Exception):
    """There is no earlier release of a service; the message says why."""


def unpack_earlier_release(service: str, folder: Path) -> str:
    """Unpack all services as they were before the newest migration of one of them was added.

    Args:
        service: The package of that service under services/.
        folder: A new folder, which becomes a tree that Python can run modules from.

    Returns:
        Its name for people: the first characters of the commit, and the newest migration, which it has not.

    Raises:
        NoEarlierReleaseError: The sources are no clone with the history of that time, or the newest migration of the
            service is its first one.
    """
    newest = _migrations(ROOT, service)[-1]
    path = str(newest.relative_to(ROOT))
    added = _git("log", "--diff-filter=A", "--format=%H", "--", path).decode().split()
    if not added:
        raise NoEarlierReleaseError(f"{path} is not committed")
    commit = _git("rev-parse", f"{added[-1]}^").decode().strip()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "services", *_GENERATED))) as archive:
        archive.extractall(folder, filter="data")
    if (folder / path).exists():
        raise NoEarlierReleaseError(f"{commit[:12]} has {path} already")
    if not _migrations(folder, service):
        raise NoEarlierReleaseError(f"{path} is the first migration of its service")
    return f"{commit[:12]}, before {newest.stem}"


def environment(tree: Path) -> dict[str, str]:
    """Return the variables with which Python runs modules of an unpacked release, in place of those of this tree."""
    return {"PYTHONPATH": f"{tree}:{tree / 'gen' / 'python'}", "PYTHONSAFEPATH": "1"}


def _migrations(tree: Path, service: str) -> list[Path]:
    """Return the migrations of a service in a tree, in their order."""
    return sorted((tree / "services" / service / "migrations" / "versions").glob("[0-9]*_*.py"))


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(("git", "-C", str(ROOT), *arguments), capture_output=True, timeout=_SECONDS, check=True)
    except FileNotFoundError:
        raise NoEarlierReleaseError("git is not installed") from None
    except subprocess.CalledProcessError as fault:
        raise NoEarlierReleaseError(fault.stderr.decode(errors="replace").strip()) from fault
    return done.stdout
