"""`ready.json`: the addresses of a running stack, for the command line, tests and scripts."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stack.files import write_private


class SimulatorAddresses(BaseModel):
    """Where the simulated providers are."""

    model_config = ConfigDict(frozen=True)

    microsoft: str
    google: str
    control: str


class Ready(BaseModel):
    """The addresses, files and processes of a stack that is ready.

    Attributes:
        http: Base address of the edge for HTTP and gRPC-Web, such as "http://127.0.0.1:8080".
        grpc: Target of the edge for gRPC, such as "127.0.0.1:8080"; without TLS, on the loopback interface.
        public_url: The address that providers and browsers use.
        ca_file: The authority's certificate; it signed the simulated providers' too.
        admin_key_file: File with an admin key, mode 0600.
        simulator: Absent when the providers are real.
        metrics: Prometheus addresses by process name.
        watch_ui: The page of the dashboards; empty without `--watch-ui`.
        processes: Process ids by name; "up" is the supervisor's parent.
        log_folder: A log file for each process.
        supervisor: Unix socket of the supervisor, for its owner only.
    """

    model_config = ConfigDict(frozen=True)

    http: str
    grpc: str
    public_url: str
    ca_file: Path
    admin_key_file: Path
    simulator: SimulatorAddresses | None = None
    metrics: dict[str, str] = {}
    watch_ui: str = ""
    processes: dict[str, int] = {}
    log_folder: Path
    supervisor: Path

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all. Safe to call again: yes."""
        write_private(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Ready":
        """Reads the file.

        Raises:
            FileNotFoundError: No stack is ready there.
        """
        return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
