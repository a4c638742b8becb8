"""A real Envoy for tests, in front of whatever the test serves."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stack.programs.envoy import EnvoyServer
from stack.programs.running import RunningProgram, running

StartEnvoy = Callable[[str, int], RunningProgram]


@pytest.fixture
def start_envoy(tmp_path: Path) -> Iterator[StartEnvoy]:
    """Starts Envoy with a rendered configuration and waits until it is live: `start_envoy(yaml_text, admin_port)`."""
    with ExitStack() as started:

        def start(configuration: str, admin_port: int) -> RunningProgram:
            path = tmp_path / f"envoy-{admin_port}.yaml"
            path.write_text(configuration)
            program = EnvoyServer(path, admin_port).program(f"envoy-{admin_port}")
            return started.enter_context(running(program, tmp_path))

        yield start
