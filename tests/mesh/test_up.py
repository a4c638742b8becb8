"""`mailmesh up` itself: one start, one end, and nothing left behind."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.programs.mesh import Mesh, eventually, running_mesh

pytestmark = [pytest.mark.timeout(180), pytest.mark.serial]
MEBIBYTE = 1024 * 1024
GONE_SECONDS = 40.0


def test_it_stops_cleanly_and_finds_its_data_again(short_folder: Path) -> None:
    data = short_folder / "again"
    with running_mesh(data) as first:
        pids = list(first.ready.processes.values())
        address = first.ready.http
        made = first.run("keys", "create", "kept", "--json")
        code = first.stop()

    assert made.returncode == 0, made.stderr
    assert code == 0
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert not (data / "ready.json").exists()
    with running_mesh(data) as second:
        assert second.ready.http == address
        assert "kept" in second.run("keys", "list").stdout


def test_nothing_is_left_when_it_is_killed(short_folder: Path) -> None:
    with running_mesh(short_folder / "killed") as started:
        pids = list(started.ready.processes.values())
        os.kill(started.process.pid, signal.SIGKILL)
        started.process.wait()

        eventually(lambda: not any(map(psutil.pid_exists, pids)), GONE_SECONDS, what="all processes gone")


def test_a_second_one_is_told_who_has_the_directory(mesh: Mesh) -> None:
    refused = mesh.run("up", "--data", str(mesh.data))

    assert refused.returncode == 1
    assert "is in use by process" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_two_run_side_by_side(mesh: Mesh, short_folder: Path) -> None:
    with running_mesh(short_folder / "beside") as other:
        assert other.ready.http != mesh.ready.http
        assert other.run("tenants", "list").returncode == 0


def test_several_workers_and_ingest_processes_share_the_work(short_folder: Path) -> None:
    with running_mesh(short_folder / "many", "--workers", "2", "--ingest-processes", "2") as many:
        address = new_address(many, "ms365")
        tenant = connect(many, "ms365", address)
        subscribe(many, tenant)
        mails = many.simulator.generate(address, 20)
        eventually(lambda: len(created_events(many, tenant)) >= len(mails), what="all mails")

        assert {"worker-2", "ingest-2"} <= set(many.ready.processes)


def test_it_is_small_when_idle(mesh: Mesh) -> None:
    pids = list(mesh.ready.processes.values())
    # What processes share counts once.
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
