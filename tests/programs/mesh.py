"""The whole mesh for tests: `mailmesh up` as a process of its own, with simulated providers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import grpc
import psutil
import pytest

from stack.browser import Browser, LastPage
from stack.cli.connection import CHANNEL_OPTIONS, with_key
from stack.cli.exits import code_of
from stack.ready import Ready
from stack.simulated import SimulatorControl
from tests.programs.clusters import lay_cluster
from tests.programs.collector import Collector
from tests.programs.waiting import pause_seconds
from tools.suite.sandbox import tethered

Result = TypeVar("Result")
READY_SECONDS = 120.0
STOP_SECONDS = 90.0
POLL_SECONDS = 0.1
_FLOWS = "tests.mesh.workflows"
NOT_THERE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Mesh:
    """A running mesh.

    Args:
        process: `mailmesh up`.
        data: Its data directory.
        log: Its output.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", data: Path, log: Path) -> None:
        self.process = process
        self.data = data
        self.log = log
        self.provider_authority: Path | None = None
        self.control: SimulatorControl | None = None
        self._channel: grpc.Channel | None = None

    @property
    def ready(self) -> Ready:
        """The present content of ready.json."""
        return Ready.read(self.data / "ready.json")

    @property
    def key(self) -> str:
        """The admin key."""
        return self.ready.admin_key_file.read_text().strip()

    @property
    def channel(self) -> grpc.Channel:
        """A channel to the edge that shows the admin key."""
        if self._channel is None:
            self._channel = grpc.insecure_channel(self.ready.grpc, CHANNEL_OPTIONS)
        return with_key(self._channel, self.key)

    @property
    def simulator(self) -> SimulatorControl:
        """The simulated providers' control: the mesh's own, unless the test runs them apart."""
        if self.control is not None:
            return self.control
        simulated = self.ready.simulator
        assert simulated is not None
        return SimulatorControl(simulated.control)

    def consent(
        self, url: str, account: str, *, accept: bool = True, without: frozenset[str] = frozenset()
    ) -> LastPage:
        """Goes through the consent pages like a person, who may untick scopes."""
        with Browser(self.provider_authority or self.ready.ca_file) as browser:
            return browser.consent(url, account, accept=accept, without=without)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs the command line against this mesh."""
        command = (sys.executable, "-m", "stack", "--data", str(self.data), *arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)

    def kill(self, name: str) -> int:
        """Kills one process of the mesh and returns its id."""
        pid = self.ready.processes[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def cut_power(self) -> None:
        """Kills all processes of the mesh at once, as the restart of the machine does."""
        up = psutil.Process(self.process.pid)
        everything = [up, *up.children(recursive=True)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in everything:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        self.process.wait(60)

    def stop(self) -> int:
        """Stops the mesh as Ctrl-C would, and returns its exit code."""
        if self._channel is not None:
            self._channel.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running_mesh(
    data: Path, *options: str, environment: Mapping[str, str] | None = None, is_first: bool = False
) -> Iterator[Mesh]:
    """Runs a mesh for the length of a block.

    Args:
        data: Data directory; its path should be short.
        options: More options of `mailmesh up`.
        environment: More variables.
        is_first: Whether the start makes the database, too; otherwise a new data directory begins with a copy of one.
    """
    data.parent.mkdir(parents=True, exist_ok=True)
    if not is_first and "DATABASE_URL" not in (environment or {}):
        lay_cluster(data)
    (data / "ready.json").unlink(missing_ok=True)  # of a run that lost its power
    log = data.parent / f"{data.name}-up.log"
    # The programs that `mailmesh up` starts itself, such as the migrations, are forks of it.
    command = (sys.executable, "-m", "tests.programs.forked", "stack", "up", "--data", str(data), *options)
    if "--http-port" not in options:
        command = (*command, "--http-port", "0")
    with log.open("ab") as output:
        process = subprocess.Popen(
            tethered(command, "INT"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    mesh = Mesh(process, data, log)
    try:
        eventually(lambda: (data / "ready.json").exists() or process.poll() is not None, READY_SECONDS, what="ready")
        assert process.poll() is None, log.read_text()
        yield mesh
    finally:
        if process.poll() is None:
            mesh.stop()


def eventually(ask: Callable[[], Result], timeout_seconds: float = 120.0, *, what: str = "") -> Result:
    """Asks again and again until the answer is true, and returns it. A mesh that is not there counts as a no.

    Raises:
        AssertionError: It did not come true in time.
    """
    began = time.monotonic()
    while not (answer := _asked(ask)):
        waited = time.monotonic() - began
        assert waited < timeout_seconds, f"not in {timeout_seconds:g} s: {what or ask}; last answer {answer!r}"
        time.sleep(pause_seconds(waited, POLL_SECONDS))
    return answer


def _asked(ask: Callable[[], Result]) -> Result | None:
    try:
        return ask()
    except grpc.RpcError as fault:
        if code_of(fault) not in NOT_THERE:
            raise
        return None
    except FileNotFoundError:  # ready.json is not there while the mesh is not
        return None


@pytest.fixture(scope="session")
def mesh(short_folder: Path, collector: Collector) -> Iterator[Mesh]:
    """One mesh for all tests of this process that do not break it; it sends its traces to `collector`."""
    environment = {
        "MAILMESH_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        # Receivers of webhooks are on this machine, and a failed delivery is repeated soon.
        "MAILMESH_DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8",
        "MAILMESH_DELIVERY_RETRY_SECONDS": ",".join(["1"] * 30),
        "MAILMESH_DELIVERY_FAILING_PAUSE_SECONDS": "1",
        "MAILMESH_PROCESSOR_CALENDAR_POLL_SECONDS": "1",
        # Mail that a provider does not find counts as deleted after this time.
        "MAILMESH_PROCESSOR_MISSING_SECONDS": "20",
        "MAILMESH_WORKFLOWS_GRAPHS": f"wait={_FLOWS}.waiting:graph,quote={_FLOWS}.quoting:graph",
    }
    with running_mesh(short_folder / "mesh", "--agents", environment=environment) as started:
        yield started
