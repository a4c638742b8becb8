"""A receiver of webhooks on loopback: a real HTTP server that can refuse, be away and come back on its port."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

from services.delivery.signature import verify
from services.delivery.signing_keys import read_verifying_key
from services.meshkit.secret import Secret
from stack.ports import LOOPBACK, free_ports

Answer = tuple[int, dict[str, str]]
OK: Answer = (200, {})
RESET: Answer = (0, {})
"""No answer: the connection is reset."""


class _Server(ThreadingHTTPServer):
    """A server that can end the connections that it accepted."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._accepted: list[socket.socket] = []

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        self._accepted.append(request)
        super().process_request(request, client_address)

    def end_connections(self) -> None:
        """End what was accepted; one that has ended already stays so."""
        for connection in self._accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Webhook:
    """A webhook that arrived.

    Attributes:
        webhook_id: The header `webhook-id`.
        headers: All headers, names in lower case.
        body: The body, as it arrived.
        status: The status that was answered.
    """

    webhook_id: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def content(self) -> dict[str, Any]:
        """The body as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """Takes webhooks.

    Attributes:
        port: Its port, the same after each return.
        answer: Decides the answer to a webhook, from its content and the number of earlier ones with the same id.
        text: The body of its answers.
    """

    port: int = field(default_factory=lambda: free_ports(1)[0])
    answer: Callable[[dict[str, Any], int], Answer] = lambda _content, _earlier: OK
    text: bytes = b"ok"
    webhooks: list[Webhook] = field(default_factory=list)
    _server: _Server | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{LOOPBACK}:{self.port}/hooks"

    @property
    def accepted(self) -> list[Webhook]:
        """The webhooks that were answered with success, in order."""
        return [one for one in self.webhooks if one.status == OK[0]]

    def begin(self) -> None:
        """Listen."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, more = receiver.take(headers, body)
                if (status, more) == RESET:
                    # Closed with a linger time of nothing, a connection ends by RST.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**more, "content-length": str(len(receiver.text))}.items():
                    self.send_header(name, value)
                with suppress(ConnectionError):  # a process that was killed waits for no answer
                    self.end_headers()
                    self.wfile.write(receiver.text)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = _Server((LOOPBACK, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        """Be away, as if killed: open connections end, and new ones are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.end_connections()
            self._server = None

    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        """Note a webhook and decide the answer."""
        webhook_id = headers["webhook-id"]
        earlier = sum(one.webhook_id == webhook_id for one in self.webhooks)
        answer = self.answer(json.loads(body), earlier)
        self.webhooks.append(Webhook(webhook_id, headers, body, answer[0]))
        return answer


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens during the block."""
    receiver = Receiver()
    receiver.begin()
    try:
        yield receiver
    finally:
        receiver.end()


def verified(webhook: Webhook, key: str) -> bool:
    """Return whether a webhook that just arrived is signed by a key; raises a refusal otherwise."""
    keys = [read_verifying_key(Secret(key))]
    return verify(keys, webhook.headers, webhook.body, datetime.now(UTC)) == webhook.webhook_id
