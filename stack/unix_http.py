"""HTTP over a unix socket."""

import http.client
import socket
from pathlib import Path

from typing_extensions import override


class UnixConnection(http.client.HTTPConnection):
    """A connection to the server behind a unix socket.

    Args:
        path: The socket.
        timeout_seconds: How long connecting, and each wait for data, may take.
    """

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
