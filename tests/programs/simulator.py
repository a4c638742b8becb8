"""The simulated providers as the real program, for tests that need nothing else of the mesh."""

import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.control_client import SimulatorControl
from stack.certificates import Identity, MeshCertificates
from tools.suite.sandbox import tethered

READY_SECONDS = 60.0
STOP_SECONDS = 40.0


@dataclass(frozen=True)
class RunningSimulator:
    """The running program and what its ready file says."""

    process: "subprocess.Popen[bytes]"
    ready: dict[str, Any]
    ca_file: Path

    @property
    def microsoft(self) -> str:
        """Address of Microsoft."""
        return str(self.ready["microsoftUrl"])

    @property
    def google(self) -> str:
        """Address of Google."""
        return str(self.ready["googleUrl"])

    @property
    def settings(self) -> dict[str, str]:
        """The environment that points services here."""
        return dict(self.ready["env"])

    def control(self) -> SimulatorControl:
        """A new client of the control API, which the caller closes."""
        return SimulatorControl(str(self.ready["controlUrl"]))

    def browser(self) -> httpx.AsyncClient:
        """A new HTTPS client that trusts the program's certificate."""
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        return httpx.AsyncClient(verify=trust, trust_env=False, timeout=60)


@contextmanager
def running_simulator(identity: Identity, *options: str) -> Iterator[RunningSimulator]:
    """Runs the program for the length of a block.

    Args:
        identity: Its certificate; the authority's is trusted for notification URLs.
        options: More options of `python -m simulator`.
    """
    with tempfile.TemporaryDirectory(prefix="mm-sim-") as folder:
        ready, log = Path(folder) / "ready.json", Path(folder) / "log"
        command = (
            *(sys.executable, "-m", "simulator", "--ready-file", str(ready)),
            *("--cert", str(identity.certificate), "--key", str(identity.key), "--ca", str(identity.authority)),
            *options,
        )
        with log.open("wb") as output:
            process = subprocess.Popen(tethered(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not ready.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield RunningSimulator(process, json.loads(ready.read_text()), Path(identity.authority))
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


@pytest.fixture(scope="module")
def simulator(certificates: MeshCertificates) -> Iterator[RunningSimulator]:
    """One simulator per module, with the two usual accounts."""
    with running_simulator(certificates.identity("simulator")) as started:
        yield started
