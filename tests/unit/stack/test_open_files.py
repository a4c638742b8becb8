"""The bound on open files at the start of `mailmesh up`: processes of their own, whose bound really is lower."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stack.open_files import NEEDED, WANTED

SHOW = "from stack.open_files import raise_open_files; raise_open_files(); import resource;"
SHOW += " print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"


# The shell sets the bound: code of Python between fork and exec is unsafe in a process with gRPC's threads.
BOUND = 'ulimit -S -n "$1" && ulimit -H -n "$2" && shift 2 && exec "$@"'


def run(arguments: Sequence[str], soft: int, hard: int) -> "subprocess.CompletedProcess[str]":
    """Runs Python under a bound on open files."""
    command = ("bash", "-c", BOUND, "bash", str(soft), str(hard), sys.executable, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_too_low_a_bound_is_refused_with_the_way_out(tmp_path: Path) -> None:
    done = run(("-m", "stack", "up", "--data", str(tmp_path / "data"), "--http-port", "0"), 256, 256)

    assert done.returncode != 0
    assert f"only 256 open files are allowed here and mailmesh needs {NEEDED}" in " ".join(done.stderr.split())
    assert f"ulimit -n {WANTED}" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "postgres").exists()


def test_a_low_bound_that_may_be_raised_is_raised() -> None:
    assert f"{WANTED}" == run(("-c", SHOW), 256, WANTED).stdout.strip()
    assert f"{NEEDED}" == run(("-c", SHOW), 256, NEEDED).stdout.strip()


def test_connections_from_outside_leave_the_edge_open_files_of_its_own() -> None:
    show = "from stack.open_files import edge_connections; print(edge_connections())"

    assert ["512", "3072", "7168"] == [
        run(("-c", show), soft, WANTED).stdout.strip() for soft in (NEEDED, 4096, WANTED)
    ]
