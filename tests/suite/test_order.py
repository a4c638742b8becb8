"""The files listed as the longest exist, so that the order of the run stays as intended."""

from tests.programs.sharing import FURTHER_MESHES, LONG_FILES, ground_of
from tools.generate.protos import ROOT


def test_every_long_file_exists() -> None:
    assert set() == LONG_FILES - {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def test_each_folder_of_a_further_mesh_has_files_that_share_it() -> None:
    folders = [folder for group in FURTHER_MESHES for folder in group]
    assert all("mesh" in {ground_of(path) for path in (ROOT / folder).rglob("test_*.py")} for folder in folders)


def test_a_file_whose_tests_start_a_mesh_of_their_own_shares_none() -> None:
    assert "" == ground_of(ROOT / "tests" / "mesh" / "test_backup.py")
    assert "mesh" == ground_of(ROOT / "tests" / "mesh" / "test_clients.py")
    assert "kept" == ground_of(ROOT / "tests" / "mesh" / "subscriptions" / "test_google.py")
