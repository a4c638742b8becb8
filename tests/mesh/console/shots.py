"""`make console-shots`: pictures of each page of the console, of a mesh that is started for it."""

import sys
import tempfile
from pathlib import Path

from tests.mesh.console.walking import prepared, walked
from tests.programs.mesh import Mesh, running_mesh

FOLDER = Path(__file__).parents[3] / ".cache/console-shots"
MAILS = 8
# A calendar that was just followed is read at once.
QUICK = {
    "MAILMESH_PROCESSOR_CALENDAR_POLL_SECONDS": "1",
    "MAILMESH_WORKFLOWS_GRAPHS": "wait=tests.mesh.workflows.waiting:graph",
}


def main() -> int:
    """Start a mesh, take the pictures, and print where they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="mm") as folder,
        running_mesh(Path(folder) / "data", environment=QUICK) as mesh,
    ):
        shoot(mesh)
    sys.stdout.write(f"{FOLDER}\n")
    return 0


def shoot(mesh: Mesh) -> None:
    """Take the pictures of a running mesh."""
    given = prepared(mesh)
    mesh.simulator.generate(given["address"], MAILS)
    walked("shots.mjs", given, str(FOLDER))


if __name__ == "__main__":
    sys.exit(main())
