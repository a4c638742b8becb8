"""A program that starts after an update on disk does not run the modules of two releases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.supervision import nursery

SOURCE = """
import pathlib, sys
from stack.supervision import nursery
sys.path.insert(0, {folder!r})
nursery.LIBRARIES = ("shared",)
nursery.warm()
print(nursery.is_current())
{change}
print(nursery.is_current())
"""
CHANGES = {
    "nothing": ("", "True"),
    "another file": ("pathlib.Path({folder!r}, 'other.py').write_text('')", "True"),
    "new text": ("pathlib.Path({folder!r}, 'shared.py').write_text('release = 22')", "False"),
    "gone": ("pathlib.Path({folder!r}, 'shared.py').unlink()", "False"),
}


@pytest.mark.skipif(not nursery.CAN_FORK, reason="programs fork on Linux only")
@pytest.mark.parametrize(("change", "is_forked"), CHANGES.values(), ids=CHANGES)
def test_a_program_is_forked_while_the_shared_modules_are_those_on_disk(
    tmp_path: Path, change: str, is_forked: str
) -> None:
    (tmp_path / "shared.py").write_text("release = 1")
    source = SOURCE.format(folder=str(tmp_path), change=change.format(folder=str(tmp_path)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        (sys.executable, "-c", source), capture_output=True, text=True, timeout=60, check=True, env=environment
    )

    assert ["True", is_forked] == done.stdout.split()


BROKEN = """
import sys
from stack.supervision import nursery
sys.path.insert(0, {folder!r})
nursery.LIBRARIES = ("broken",)
nursery.warm()
nursery.warm()
print(nursery.is_current())
"""


@pytest.mark.skipif(not nursery.CAN_FORK, reason="programs fork on Linux only")
def test_a_module_that_cannot_be_imported_stops_no_other_program(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        (sys.executable, "-c", BROKEN.format(folder=str(tmp_path))),
        capture_output=True, text=True, timeout=60, check=True, env=environment,
    )  # fmt: skip

    assert ["False"] == done.stdout.split()
    assert 1 == done.stderr.count("No module named 'no_such_module'")
