"""A real Envoy for tests, in front of the test's own servers."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    with envoys(tmp_path) as start:
        yield start


@contextmanager
def envoys(folder: Path) -> Iterator[StartEnvoy]:
    """Starts Envoys for the length of a block.

    Args:
        folder: For their configurations and logs.
    """
    numbers = itertools.count()
    with ExitStack() as started:

        def start(configuration: EdgeSettings | str) -> EnvoyServer:
            own = folder / f"edge-{next(numbers)}"
            own.mkdir()
            path = own / "envoy.yaml"
            if isinstance(configuration, str):
                path.write_text(configuration)
            else:
                render(configuration, own)
            server = EnvoyServer(path)
            started.enter_context(running(server.program(own.name), folder))
            return server

        yield start
