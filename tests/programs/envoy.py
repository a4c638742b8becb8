"""A real Envoy for tests, in front of whatever the test serves."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.render import render
from gateway.settings import EdgeSettings
from stack.programs.envoy import EnvoyServer
from stack.programs.running import RunningProgram, running

StartEnvoy = Callable[[EdgeSettings | str, int], RunningProgram]


@pytest.fixture
def start_envoy(tmp_path: Path) -> Iterator[StartEnvoy]:
    """Starts Envoy and waits until it is live: `start_envoy(settings_or_yaml_text, admin_port)`."""
    with ExitStack() as started:

        def start(configuration: EdgeSettings | str, admin_port: int) -> RunningProgram:
            folder = tmp_path / f"edge-{admin_port}"
            folder.mkdir()
            path = folder / "envoy.yaml"
            if isinstance(configuration, str):
                path.write_text(configuration)
            else:
                render(configuration, folder)
            program = EnvoyServer(path, admin_port).program(f"envoy-{admin_port}")
            return started.enter_context(running(program, tmp_path))

        yield start
