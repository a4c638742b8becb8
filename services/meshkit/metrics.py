"""Prometheus metrics: what every process of the mesh counts, and where it is read.

Labels are bounded: methods of the contract, gRPC codes, names of loops and queues. Never an id of anything.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app, start_http_server

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
_REQUEST_SECONDS = 10.0
WORKER_RESTARTS = Counter("mailmesh_worker_restarts_total", "Times that a queue worker had to start again.", ["queue"])


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
    if not listen:
        yield 0
        return
    host, _, port = listen.rpartition(":")
    server, thread = start_http_server(int(port), addr=host.strip("[]"))
    handler: Any = server.RequestHandlerClass
    # A connection that sends nothing holds a thread.
    server.RequestHandlerClass = type("Handler", (handler,), {"timeout": _REQUEST_SECONDS})
    if _is_loopback(host.strip("[]")):
        server.set_app(_for_loopback_names(make_wsgi_app()))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _for_loopback_names(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def checked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if _is_loopback(_host_name(environ.get("HTTP_HOST", ""))):
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"The Host is no address of the loopback interface.\n"]

    return checked


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
