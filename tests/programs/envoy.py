"""A real Envoy for tests, in front of the test's own servers."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.render import render
from gateway.settings import EdgeSettings
from stack.programs.envoy import EnvoyServer
from stack.programs.running import running

StartEnvoy = Callable[[EdgeSettings | str], EnvoyServer]


@pytest.fixture
def start_envoy(tmp_path: Path) -> Iterator[StartEnvoy]:
    """Starts Envoy and waits until it is live: `start_envoy(settings_or_yaml_text)`."""
    numbers = itertools.count()
    with ExitStack() as started:

        def start(configuration: EdgeSettings | str) -> EnvoyServer:
            folder = tmp_path / f"edge-{next(numbers)}"
            folder.mkdir()
            path = folder / "envoy.yaml"
            if isinstance(configuration, str):
                path.write_text(configuration)
            else:
                render(configuration, folder)
            server = EnvoyServer(path)
            started.enter_context(running(server.program(folder.name), tmp_path))
            return server

        yield start
