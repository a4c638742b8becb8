"""`mailmesh up` while it runs: whose directory it is, how large it is, and what others see of it."""

import psutil
import pytest

from tests.programs.mesh import Mesh

pytestmark = pytest.mark.timeout(300)
MEBIBYTE = 1024 * 1024


def test_a_second_one_is_told_who_has_the_directory(mesh: Mesh) -> None:
    refused = mesh.run("up", "--data", str(mesh.data))

    assert refused.returncode == 1
    assert "is in use by process" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.serial
def test_it_is_small_when_idle(mesh: Mesh) -> None:
    pids = list(mesh.ready.processes.values())
    # Memory that processes share counts once.
    used = sum(psutil.Process(pid).memory_full_info().pss for pid in _with_children(pids)) / MEBIBYTE

    assert used < 1024, f"{used:.0f} MiB"


def test_the_command_line_says_what_it_is_told_in_secret_to_nobody(mesh: Mesh) -> None:
    key = mesh.key
    seen = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]

    assert [line for line in seen if key in line] == []


def _with_children(pids: list[int]) -> set[int]:
    found = set(pids)
    for pid in pids:
        found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return found
