"""The wheel of the console: the built files and nothing else, which the edge serves where it is installed."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tools.console_wheel import pack
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(120)
DIST = ROOT / "console" / "dist"
PACKAGE = "mailmesh_console/"
# A folder that has the edge's code alone, as an installation without the repository.
FIND = """
import sys
from pathlib import Path
from gateway import console
console.__file__ = str(Path("nowhere/gateway/console.py").resolve())
print(console.console().folder)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("wheel") / "out")


def test_the_wheel_is_the_built_console_byte_by_byte(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        packed = {name: opened.read(name) for name in opened.namelist() if ".dist-info/" not in name}

    assert {f"{PACKAGE}{path.name}": path.read_bytes() for path in DIST.iterdir()} == packed


def test_the_wheel_has_the_version_of_the_mesh_and_needs_nothing(wheel: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [one for one in opened.namelist() if one.endswith("METADATA")]
        metadata = opened.read(name).decode()

    assert f"mailmesh_console-{version}-py3-none-any.whl" == wheel.name
    assert "Requires-Dist" not in metadata


def test_the_same_files_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert wheel.read_bytes() == pack(tmp_path / "again").read_bytes()


def test_the_edge_finds_the_console_of_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    command = (sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n{FIND}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)

    assert (0, str(tmp_path / "site" / "mailmesh_console")) == (done.returncode, done.stdout.strip()), done.stderr
