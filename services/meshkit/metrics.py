"""Prometheus metrics: what every process of the mesh counts, and where it is read.

Labels are bounded: methods of the contract, gRPC codes, names of loops and queues. Never an id of anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

from services.meshkit.metrics_server import served

RPC_HANDLED = Counter("mailmesh_grpc_server_handled_total", "RPCs that were answered.", ["method", "code"])
RPC_SECONDS = Histogram(
    "mailmesh_grpc_server_handling_seconds",
    "Time from the call to its answer.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RPC_IN_FLIGHT = Gauge("mailmesh_grpc_server_in_flight", "RPCs that run now.")
CLIENT_HANDLED = Counter("mailmesh_grpc_client_handled_total", "RPCs that this process made.", ["method", "code"])
UNEXPECTED = Counter("mailmesh_unexpected_errors_total", "Unhandled exceptions.", ["where"])
DEPENDENCY_UP = Gauge("mailmesh_dependency_up", "1 while a dependency answers its ping.", ["dependency"])
LOOP_RUNS = Counter("mailmesh_loop_runs_total", "Rounds of a background loop.", ["loop", "outcome"])
LOOP_ITEMS = Counter("mailmesh_loop_items_total", "Items that background loops have processed.", ["loop"])
WAKE_UPS = Counter("mailmesh_wake_ups_total", "Wake-ups by their outcome.", ["queue", "outcome"])
WORKER_RESTARTS = Counter("mailmesh_worker_restarts_total", "Times that a queue worker had to start again.", ["queue"])
LOG_LINES_LOST = Counter("mailmesh_log_lines_lost_total", "Log lines that could not be written.")


@contextmanager
def serve_metrics(listen: str) -> Iterator[int]:
    """Serve the metrics over HTTP while the block runs.

    A name that resolves to 127.0.0.1 lets a page in a browser read a port of the loopback interface. There, only
    requests that name the interface itself are answered.

    Args:
        listen: `host:port`; port 0 takes a free one. Empty serves nothing.

    Yields:
        The port, 0 when nothing is served.

    Raises:
        OSError: The port is taken.
    """
    with served(listen, "metrics") as port:
        yield port
