"""Simulated providers in a process of their own, for tests in which the mesh stops and the providers live on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack.certificates import MeshCertificates
from stack.ports import free_port, free_ports
from stack.programs.running import running
from stack.programs.simulator import simulator_program
from stack.simulated import SimulatorControl
from tests.programs.mesh import Mesh, eventually


@dataclass(frozen=True)
class Providers:
    """Simulated providers, and the options by which a mesh uses them.

    Attributes:
        control: Their control.
        environment: The variables of the mesh.
        authority: The certificate authority of their addresses.
        port: The port of the mesh's edge, the same after each start.
    """

    control: SimulatorControl
    environment: dict[str, str]
    authority: Path
    port: int

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `mailmesh up`."""
        return ("--no-simulator", "--http-port", str(self.port))

    def serve(self, mesh: Mesh) -> None:
        """Make a mesh's accounts those of these providers."""
        mesh.control, mesh.provider_authority = self.control, self.authority


@pytest.fixture
def providers(tmp_path: Path, certificates: MeshCertificates) -> Iterator[Providers]:
    microsoft, google, control = free_ports(3)
    ports = {"microsoft": microsoft, "google": google, "control": control}
    ready_file = tmp_path / "simulator.json"
    program = simulator_program(ports, certificates.identity("simulator"), ("--ready-file", str(ready_file)))
    with running(program, tmp_path):
        eventually(ready_file.exists)
        told = json.loads(ready_file.read_text())
        port = free_port()
        public = f"http://127.0.0.1:{port}"
        simulated = SimulatorControl(f"http://127.0.0.1:{control}")
        simulated.call("PATCH", "pubsub", endpoint=f"{public}/api/googlews/webhook")
        yield Providers(simulated, {**told["env"], "PUBLIC_URL": public}, certificates.authority, port)
