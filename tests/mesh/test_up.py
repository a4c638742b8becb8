"""`mailmesh up` itself: one start, one end, and nothing left behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually, running_mesh

pytestmark = pytest.mark.timeout(300)
GONE_SECONDS = 90.0


@pytest.fixture(scope="module")
def many(short_folder: Path) -> Iterator[Mesh]:
    """A mesh with two of what there can be two of; the last test kills it."""
    with running_mesh(short_folder / "many", "--workers", "2", "--ingest-processes", "2") as started:
        yield started


def test_several_workers_and_ingest_processes_share_the_work(many: Mesh) -> None:
    address = new_address(many, "ms365")
    tenant = connect(many, "ms365", address)
    subscribe(many, tenant)
    mails = many.simulator.generate(address, 20)
    eventually(lambda: len(created_events(many, tenant)) >= len(mails), what="all mails")

    assert {"worker-2", "ingest-2"} <= set(many.ready.processes)


def test_a_second_one_on_the_same_directory_is_refused_by_name(many: Mesh) -> None:
    before = many.ready
    refused = many.run("up", "--data", str(many.data), "--http-port", "0")

    assert refused.returncode == 1
    assert f"{many.data.resolve()} is in use by process {many.process.pid}" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert before == many.ready
    assert many.run("tenants", "list").returncode == 0


def test_a_second_one_beside_it_stops_cleanly_and_finds_its_data_even_moved(many: Mesh, short_folder: Path) -> None:
    data = short_folder / "again"
    with running_mesh(data, is_first=True) as first:
        pids = list(first.ready.processes.values())
        address = first.ready.http
        made = first.run("keys", "create", "kept", "--json")
        beside = many.run("tenants", "list")
        code = first.stop()

    assert made.returncode == 0, made.stderr
    assert beside.returncode == 0, beside.stderr
    assert address != many.ready.http
    assert code == 0
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert not (data / "ready.json").exists()
    with running_mesh(data.rename(short_folder / "moved")) as second:
        assert second.ready.http == address
        assert "kept" in second.run("keys", "list").stdout


def test_nothing_is_left_when_it_is_killed(many: Mesh) -> None:
    pids = list(many.ready.processes.values())
    os.kill(many.process.pid, signal.SIGKILL)
    many.process.wait()

    eventually(lambda: not any(map(psutil.pid_exists, pids)), GONE_SECONDS, what="all processes gone")
