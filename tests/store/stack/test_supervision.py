"""Programs under supervision, run for real."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from stack.ports import accepts, free_port, free_ports
from stack.programs.program import Program
from stack.programs.redis import RedisServer
from stack.programs.running import wait_until
from stack.supervision.configuration import write_configuration
from stack.supervision.supervisor import ProcessState, Supervisor

WAIT_SECONDS = 90.0


@dataclass
class Supervised:
    """A supervisor with two stages of one Redis each."""

    supervisor: Supervisor
    servers: dict[str, RedisServer]

    def start(self) -> None:
        for name, server in self.servers.items():
            self.supervisor.start_program(name)
            assert wait_until(server.is_ready, WAIT_SECONDS)

    def pid(self, name: str) -> int:
        return self.supervisor.states()[name].pid


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    first, second = free_ports(2)
    servers = {
        "first": RedisServer.prepare(tmp_path / "first", first),
        "second": RedisServer.prepare(tmp_path / "second", second),
    }
    configuration, door = tmp_path / "supervisor.conf", tmp_path / "door"
    stages = [[server.program(name)] for name, server in servers.items()]
    (tmp_path / "environments").mkdir()
    write_configuration(configuration, door, stages, tmp_path, tmp_path / "environments")
    supervisor = Supervisor(configuration, door, tmp_path / "start.log", stop_seconds=20.0)
    supervisor.start()
    yield Supervised(supervisor, servers)
    supervisor.stop()


def test_a_killed_program_is_started_again(supervised: Supervised) -> None:
    supervised.start()
    killed = supervised.pid("first")
    os.kill(killed, signal.SIGKILL)

    assert wait_until(lambda: supervised.pid("first") not in (0, killed), WAIT_SECONDS)
    assert wait_until(supervised.servers["first"].is_ready, WAIT_SECONDS)


def test_nothing_is_left_after_a_stop(supervised: Supervised) -> None:
    supervised.start()
    pids = [supervised.pid(name) for name in supervised.servers]
    supervised.supervisor.stop()

    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


def test_no_program_outlives_a_killed_supervisor(supervised: Supervised) -> None:
    supervised.start()
    os.kill(supervised.supervisor.pid, signal.SIGKILL)

    ports = [server.port for server in supervised.servers.values()]
    assert wait_until(lambda: not any(map(accepts, ports)), WAIT_SECONDS)


def test_a_supervisor_that_is_told_to_end_is_asked_without_a_failure(supervised: Supervised) -> None:
    supervised.start()
    # It stops its programs one stage after the other, and refuses all questions meanwhile.
    os.kill(supervised.supervisor.pid, signal.SIGTERM)
    seen = []
    while supervised.supervisor.is_running:
        seen.append(supervised.supervisor.states())

    assert seen[-1] == {}


def test_no_secret_is_among_the_arguments(supervised: Supervised) -> None:
    supervised.start()
    password = supervised.servers["first"].password
    arguments = psutil.Process(supervised.pid("first")).cmdline()

    assert [argument for argument in arguments if password in argument] == []


def test_settings_reach_the_program_through_a_private_file(supervised: Supervised, tmp_path: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "environments").iterdir()}

    assert modes == {0o600}


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Supervisor]:
    """A supervisor with two programs in Python: a web server whose settings have a secret, and one that fails."""
    port = free_port()
    web = Program(
        name="web",
        command=(sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"),
        is_ready=lambda: accepts(port),
        environment={"MAILMESH_SECRET": "told to web only"},
    )
    failing = Program("failing", (sys.executable, "-m", "no_such_module"), is_ready=bool)
    (tmp_path / "environments").mkdir()
    configuration, door = tmp_path / "supervisor.conf", tmp_path / "door"
    write_configuration(configuration, door, [[web, failing]], tmp_path, tmp_path / "environments")
    supervisor = Supervisor(configuration, door, tmp_path / "start.log", stop_seconds=20.0)
    supervisor.start()
    supervisor.start_program("web")
    assert wait_until(web.is_ready, WAIT_SECONDS)
    yield supervisor
    supervisor.stop()


def test_a_program_in_python_has_a_name_of_its_own_and_shows_no_settings(python: Supervisor) -> None:
    web = psutil.Process(python.states()["web"].pid)

    assert web.name() == "web"
    assert web.ppid() == python.pid
    assert "MAILMESH_SECRET" not in web.environ()


def test_a_program_in_python_shares_its_libraries_with_the_supervisor(python: Supervisor) -> None:
    web = psutil.Process(python.states()["web"].pid).memory_full_info()

    assert web.uss < web.rss / 2


def test_a_program_in_python_ends_as_any_other(python: Supervisor) -> None:
    web = python.states()["web"].pid
    python.stop_program("web")

    assert not psutil.pid_exists(web)


def test_a_program_in_python_that_fails_says_why_and_is_tried_again(python: Supervisor, tmp_path: Path) -> None:
    def failing() -> ProcessState:
        return python.states()["failing"]

    python.start_program("failing")

    assert wait_until(lambda: failing().state == "BACKOFF", WAIT_SECONDS)
    assert "No module named no_such_module" in (tmp_path / "failing.log").read_text()
