"""The loopback ports of a run, kept from run to run as far as they are still free."""

import json
from dataclasses import dataclass
from pathlib import Path

from stack.errors import PortInUseError
from stack.files import write_private_json
from stack.ports import LOOPBACK, free_ports, hold

DEFAULT_HTTP_PORT = 8080
EDGE = "edge"
ENVOY_METRICS = "envoy-metrics"


@dataclass(frozen=True)
class Ports:
    """Loopback ports by the name of the listener.

    Attributes:
        numbers: Port by name.
    """

    numbers: dict[str, int]

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    def address(self, name: str) -> str:
        """Returns `host:port`."""
        return f"{LOOPBACK}:{self.numbers[name]}"


def choose_ports(names: list[str], http_port: int | None, remembered: Path) -> Ports:
    """Chooses a port for each name: the one of the last run if it is free, else any free one.

    Args:
        names: The listeners that need a port, without the edge.
        http_port: The edge's port; 0 takes any free one; None that of the last run, 8080 at first.
        remembered: File with the ports of the last run; it is written.

    Raises:
        PortInUseError: The edge's port is taken.
    """
    last: dict[str, int] = json.loads(remembered.read_text()) if remembered.exists() else {}
    kept = {name: last[name] for name in names if name in last and hold(last[name])}
    missing = [name for name in names if name not in kept]
    numbers = kept | dict(zip(missing, free_ports(len(missing)), strict=True))
    numbers[EDGE] = _edge_port(http_port, last.get(EDGE))
    write_private_json(remembered, numbers)
    return Ports(numbers)


def _edge_port(asked: int | None, last: int | None) -> int:
    if asked == 0:
        return last if last is not None and hold(last) else free_ports(1)[0]
    port = asked or last or DEFAULT_HTTP_PORT
    if not hold(port):
        raise PortInUseError(f"port {port} is in use by another program: choose another with --http-port")
    return port
