"""The whole mesh is stopped and started again, while the providers live on."""

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from stack.certificates import MeshCertificates
from stack.ports import free_port, free_ports
from stack.programs.running import running
from stack.programs.simulator import simulator_program
from stack.simulated import SimulatorControl
from tests.mesh.accounts import PROVIDERS, connect, created_events, new_address, subscribe, told_when_all_are
from tests.programs.mesh import Mesh, eventually, running_mesh

pytestmark = pytest.mark.timeout(360)
LOAD = 40


@dataclass(frozen=True)
class Providers:
    """Simulated providers in a process of their own."""

    control: SimulatorControl
    environment: dict[str, str]
    authority: Path


@pytest.fixture
def providers(tmp_path: Path, certificates: MeshCertificates) -> Iterator[Providers]:
    microsoft, google, control = free_ports(3)
    ports = {"microsoft": microsoft, "google": google, "control": control}
    ready_file = tmp_path / "simulator.json"
    program = simulator_program(ports, certificates.identity("simulator"), ("--ready-file", str(ready_file)))
    with running(program, tmp_path):
        eventually(ready_file.exists)
        told = json.loads(ready_file.read_text())
        yield Providers(SimulatorControl(f"http://127.0.0.1:{control}"), told["env"], certificates.authority)


def cut_power(mesh: Mesh) -> None:
    """Kills all processes of the mesh at once, as the restart of the machine does."""
    up = psutil.Process(mesh.process.pid)
    everything = [up, *up.children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    mesh.process.wait(60)


def test_mail_that_came_while_the_mesh_was_down_is_told(providers: Providers, short_folder: Path) -> None:
    """The machine restarts in the middle of a load; mail comes before, meanwhile, and while it is down."""
    port = free_port()
    public = f"http://127.0.0.1:{port}"
    options = ("--no-simulator", "--http-port", str(port))
    environment = {**providers.environment, "PUBLIC_URL": public}
    providers.control.call("PATCH", "pubsub", endpoint=f"{public}/api/googlews/webhook")
    data = short_folder / "restart"
    wanted: dict[str, list[str]] = {}
    with running_mesh(data, *options, environment=environment) as first:
        first.control, first.provider_authority = providers.control, providers.authority
        accounts = {provider: new_address(first, provider) for provider in PROVIDERS}
        tenants = {provider: connect(first, provider, address) for provider, address in accounts.items()}
        for provider, tenant in tenants.items():
            subscribe(first, tenant)
            mails = providers.control.generate(accounts[provider], LOAD)
            wanted[provider] = [mail["id"] for mail in mails]
        eventually(lambda: any(created_events(first, tenant) for tenant in tenants.values()), what="the first mails")
        cut_power(first)
    for provider, address in accounts.items():
        wanted[provider] += [mail["id"] for mail in providers.control.generate(address, 3, first=LOAD)]

    with running_mesh(data, *options, environment=environment) as second:
        for provider, tenant in tenants.items():
            expected = sorted(wanted[provider])
            told = eventually(partial(told_when_all_are, second, tenant, len(expected)), 120)
            assert told == expected
