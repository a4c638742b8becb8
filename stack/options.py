"""The options of `mailmesh up`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.data_directory import DEFAULT_FOLDER

# Any of these in the environment means that real accounts are meant.
REAL_CREDENTIALS = ("MAILMESH_MS365_CLIENT_ID", "MAILMESH_GOOGLEWS_CLIENT_ID")


@dataclass(frozen=True)
class UpOptions:
    """How to run the stack.

    Attributes:
        data: The data directory.
        http_port: The edge's port; 0 takes any free one; None that of the last run, 8080 at first.
        workers: Processes that fetch mail.
        ingest_processes: Processes that take webhooks.
        has_simulator: Whether to simulate the providers; None decides by the environment.
        simulator_options: More arguments for the simulator.
        has_agents: Whether to serve agents at the edge's `/mcp`.
        has_watch_ui: Whether to run Prometheus with the dashboards.
        wal_archive: Folder for the write-ahead log of the embedded PostgreSQL; None archives nothing.
        wal_archive_gigabytes: The bound of that folder's size.
        wal_archive_days: The bound of the age of what is in it.
    """

    data: Path = DEFAULT_FOLDER
    http_port: int | None = None
    workers: int = 1
    ingest_processes: int = 1
    has_simulator: bool | None = None
    simulator_options: tuple[str, ...] = ()
    has_agents: bool = False
    has_watch_ui: bool = False
    wal_archive: Path | None = None
    wal_archive_gigabytes: int = 20
    wal_archive_days: int = 30

    def wants_simulator(self, environment: Mapping[str, str]) -> bool:
        """Returns the option; without it, true unless real credentials are in the environment."""
        if self.has_simulator is not None:
            return self.has_simulator
        return not any(environment.get(name) for name in REAL_CREDENTIALS)
