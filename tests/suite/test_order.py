"""The files listed as the longest exist, so that the order of the run stays as intended."""

from tests.programs.sharing import LONG_FILES
from tools.generate.protos import ROOT


def test_every_long_file_exists() -> None:
    assert set() == LONG_FILES - {path.name for path in (ROOT / "tests").rglob("test_*.py")}
