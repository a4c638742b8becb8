"""The simulator's servers on loopback."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simulator.edge import TRANSPORT

HOST = "127.0.0.1"
GRACE_SECONDS = 3


class _Protocol(HttpToolsProtocol):
    """Shows the application its connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]


class Server(uvicorn.Server):
    """A server that leaves signals to the program around it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals pass while the server runs."""
        yield


def make_server(app: Any, tls: tuple[Path, Path] | None) -> Server:
    """Return a server for an application, over HTTPS when there are a certificate and a key."""
    files = {"ssl_certfile": str(tls[0]), "ssl_keyfile": str(tls[1])} if tls else {}
    config = uvicorn.Config(
        app,
        http=_Protocol,
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=4096,
        backlog=2048,
        **files,  # type: ignore[arg-type]
    )
    return Server(config)


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback; port 0 takes any free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(2048)
    return listener
