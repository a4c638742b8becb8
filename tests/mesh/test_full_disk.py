"""`mailmesh up` on a disk that is full, or read-only, for a while."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs.mesh import Mesh, eventually, running_mesh
from tests.programs.small_disk import SmallDisk, read_only, small_disk

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def disk(short_folder: Path) -> Iterator[SmallDisk]:
    with small_disk(short_folder / "disk", mebibytes=256) as made:
        yield made


@pytest.fixture(scope="module")
def cramped(disk: SmallDisk) -> Iterator[Mesh]:
    with running_mesh(disk.folder / "data") as started:
        yield started


def test_a_mesh_whose_disk_was_full_comes_back_by_itself(cramped: Mesh, disk: SmallDisk) -> None:
    before = cramped.ready
    disk.fill()
    # The worst of it: everything has to start again, and nothing can be written.
    os.kill(before.processes["supervisor"], signal.SIGKILL)
    eventually(lambda: "trying again in" in cramped.log.read_text(), what="a first try that fails")
    assert cramped.process.poll() is None
    disk.empty()

    eventually((cramped.data / "ready.json").exists, 180.0, what="ready again")
    assert cramped.ready.processes["supervisor"] != before.processes["supervisor"]
    assert eventually(lambda: cramped.run("tenants", "list").returncode == 0)
    assert "Traceback" not in cramped.log.read_text()
    assert "No space left on device" in cramped.log.read_text()


def test_a_mesh_whose_disk_was_read_only_comes_back_by_itself(cramped: Mesh) -> None:
    before = cramped.ready
    with read_only(cramped.data):
        os.kill(before.processes["supervisor"], signal.SIGKILL)
        eventually(lambda: "Read-only file system" in cramped.log.read_text(), what="a first try that fails")
        assert cramped.process.poll() is None

    eventually(lambda: cramped.ready.processes["supervisor"] != before.processes["supervisor"], 180.0)
    assert eventually(lambda: cramped.run("tenants", "list").returncode == 0)
    assert "Traceback" not in cramped.log.read_text()
