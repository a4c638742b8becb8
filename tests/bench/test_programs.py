"""Every program of bench/ runs on a small workload and writes nothing."""

import subprocess
import sys

import pytest

from bench.__main__ import programs
from bench.measure import REPOSITORY, RESULTS

PROGRAM_SECONDS = 300
pytestmark = pytest.mark.timeout(PROGRAM_SECONDS + 20)


@pytest.mark.parametrize("name", programs())
def test_a_measurement_runs_and_writes_nothing(name: str) -> None:
    before = {path: path.read_bytes() for path in RESULTS.glob("*.json")}
    command = [sys.executable, "-m", "tests.programs.forked", f"bench.{name}", "--quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)

    assert 0 == done.returncode, done.stdout[-2000:] + done.stderr[-4000:]
    lines = done.stdout.splitlines()
    headings = [number for number, line in enumerate(lines) if line.startswith(f"{name}: ")]
    assert 1 == len(headings), done.stdout[-2000:]
    assert lines[headings[0] + 1 :], "no figure"
    assert before == {path: path.read_bytes() for path in RESULTS.glob("*.json")}


def test_there_is_something_to_measure() -> None:
    assert programs()
