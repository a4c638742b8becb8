"""The copied cluster of the meshes of tests: nothing of it stays, whichever process made it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.programs.clusters import VARIABLE

LAY = "import pathlib, sys; from tests.programs.clusters import lay_cluster; lay_cluster(pathlib.Path(sys.argv[1]))"


def test_a_program_of_a_test_makes_the_cluster_in_the_folder_that_goes_with_the_session(
    short_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}

    subprocess.run((sys.executable, "-c", LAY, str(short_folder / "data")), env=environment, timeout=120, check=True)

    assert (short_folder / "data" / "postgres" / "PG_VERSION").exists()
    assert {"data"} <= {path.name for path in Path(os.environ[VARIABLE]).iterdir()}
    assert [] == list(folder.iterdir())
