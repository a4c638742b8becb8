"""The HTTP server of a process's metrics and probes: few connections, none of them for long.

A connection whose request has not arrived in time, and any past the bound, is closed, so that strangers at this port
take no file descriptors from the process's work. While no descriptor is free, the server pauses instead of asking for
one in a busy loop. On a loopback address it answers requests for the names of loopback alone, so that no page in a
browser on this machine reads the metrics under a name of its own.
"""

import io
import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app
from typing_extensions import override

_CONNECTIONS = 16
_HEAD_SECONDS = 10.0
_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.5


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Serves the metrics of the process.

    Args:
        host: A host name or an address of either family.
        port: The port; 0 takes a free one.
        app: Another WSGI application to serve in place of the metrics, under the same bounds.

    Raises:
        OSError: Nothing can be bound to the address.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, app: Callable[..., Iterable[bytes]] | None = None) -> None:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        self._room = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__(found[0][4][:2], _QuietHandler)  # type: ignore[arg-type] # stubs know hosts as text alone
        served = app or make_wsgi_app()
        self.set_app(_for_loopback_names(served) if _is_loopback(host) else served)

    @override
    def get_request(self) -> Any:
        try:
            return super().get_request()
        except OSError:
            time.sleep(_PAUSE_SECONDS)
            raise

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A peer that has gone or was silent concerns the peer alone.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def served(listen: str, name: str, app: Callable[..., Iterable[bytes]] | None = None) -> Iterator[int]:
    """Serve the metrics, or another application, in a thread while the block runs.

    Args:
        listen: `host:port`; port 0 takes a free one. Empty serves nothing.
        name: The thread's name.
        app: See `MetricsServer`.

    Yields:
        The port, 0 when nothing is served.

    Raises:
        OSError: The port is taken.
    """
    if not listen:
        yield 0
        return
    host, _, port = listen.rpartition(":")
    server = MetricsServer(host.strip("[]"), int(port), app)
    thread = threading.Thread(target=server.serve_forever, name=name, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Head(socket.SocketIO):
    """Reads of a connection that all end at one time, so that a byte now and then gains no more of it."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        super().__init__(connection, "rb")
        self._connection = connection
        self._end = time.monotonic() + seconds

    @override
    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            return super().readinto(buffer)
        finally:
            self._connection.settimeout(_ANSWER_SECONDS)


class _QuietHandler(WSGIRequestHandler):
    head_seconds = _HEAD_SECONDS

    @override
    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Head(self.connection, self.head_seconds))

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _for_loopback_names(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def checked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # A page of a browser sends its Origin. No page reads these ports.
        if "HTTP_ORIGIN" not in environ and _is_loopback(_host_name(environ.get("HTTP_HOST", ""))):
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"The Host is no address of the loopback interface, or a page of a browser asks.\n"]

    return checked


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
