"""Checks of the contract: buf's lint, and compatibility with the last release."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.check.outcome import CheckError, Skipped
from tools.generate import protos

BUF = protos.ROOT / "node_modules" / ".bin" / "buf"
RELEASES = protos.ROOT / "releases"


def lint() -> str:
    """Lint proto/ by STANDARD and COMMENTS."""
    protos.lay_third_party()
    buf(["lint"], protos.ROOT)
    return "STANDARD and COMMENTS"


def breaking() -> str:
    """Compare proto/ with the last release by WIRE_JSON."""
    protos.lay_third_party()
    release = last_release()
    compare(protos.ROOT, release)
    return f"WIRE_JSON against {release.stem}"


def last_release() -> Path:
    """Return the descriptor set of the newest release."""
    return max(RELEASES.glob("*.binpb"), key=lambda path: [int(part) for part in path.stem.split(".")])


def compare(workspace: Path, release: Path) -> None:
    """Compare a folder that holds buf.yaml and proto files with a release.

    buf compares workspaces module by module, and a release is one image: build the workspace first.

    Raises:
        CheckError: The contract breaks users of the release.
    """
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "contract.binpb"
        buf(["build", "proto", "--output", str(image)], workspace)
        against = ["--against", str(release), "--exclude-imports", "--config", "buf.yaml"]
        buf(["breaking", str(image), *against], workspace)


def buf(arguments: list[str], workspace: Path) -> None:
    """Run buf in a folder.

    Raises:
        CheckError: buf found a fault.
        Skipped: buf or Node is not installed.
    """
    if not BUF.exists() or not shutil.which("node"):
        raise Skipped("buf needs Node (`npm ci`)")
    done = subprocess.run([BUF, *arguments], cwd=workspace, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise CheckError(done.stdout + done.stderr)
