"""The files listed as the longest exist, so that the order of the run stays as intended."""

from tests.programs.sharing import LONG_FILES, SECOND_MESH, ground_of
from tools.generate.protos import ROOT


def test_every_long_file_exists() -> None:
    assert set() == LONG_FILES - {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def test_each_folder_of_the_second_mesh_has_files_that_share_it() -> None:
    assert all("mesh" in {ground_of(path) for path in (ROOT / folder).rglob("test_*.py")} for folder in SECOND_MESH)
