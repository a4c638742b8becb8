"""The contract: buf's lint, and that nothing breaks for who uses the last release."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.check.outcome import CheckError, Skipped
from tools.generate import protos

BUF = protos.ROOT / "node_modules" / ".bin" / "buf"
RELEASES = protos.ROOT / "releases"


def lint() -> str:
    """Lints proto/ by STANDARD and COMMENTS."""
    protos.lay_third_party()
    buf(["lint"], protos.ROOT)
    return "STANDARD and COMMENTS"


def breaking() -> str:
    """Compares proto/ with the last release by WIRE_JSON."""
    protos.lay_third_party()
    release = last_release()
    compare(protos.ROOT, release)
    return f"WIRE_JSON against {release.stem}"


def last_release() -> Path:
    """Returns the descriptor set of the newest release."""
    return max(RELEASES.glob("*.binpb"), key=lambda path: [int(part) for part in path.stem.split(".")])


def compare(workspace: Path, release: Path) -> None:
    """Compares a folder that holds buf.yaml and proto files with a release.

    buf compares workspaces module by module, and a release is one image: so the workspace is made one first.

    Raises:
        CheckError: A user of the release would break.
    """
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "contract.binpb"
        buf(["build", "proto", "--output", str(image)], workspace)
        against = ["--against", str(release), "--exclude-imports", "--config", "buf.yaml"]
        buf(["breaking", str(image), *against], workspace)


def buf(arguments: list[str], workspace: Path) -> None:
    """Runs buf in a folder.

    Raises:
        CheckError: It found something.
        Skipped: It is not there, or there is no Node.
    """
    if not BUF.exists() or not shutil.which("node"):
        raise Skipped("buf needs Node (`npm ci`)")
    done = subprocess.run([BUF, *arguments], cwd=workspace, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise CheckError(done.stdout + done.stderr)
