"""A receiver of webhooks in a process of its own: it answers at once, and notes each arrival.

`python -m bench.webhook_sink PORT` listens on loopback. `GET /count`, `GET /arrivals` (which also forgets them) and
`POST` to any other path; a path that begins with `/after/MS` is answered after so many milliseconds.
"""

import asyncio
import json
import sys
import time
from datetime import datetime
from typing import cast

import uvloop
from typing_extensions import override

from stack.ports import LOOPBACK

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Arrivals:
    """The webhooks that arrived, in order: their ids, and the seconds since their event's time."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.seconds: list[float] = []
        self.at: list[float] = []

    def forget(self) -> None:
        """Forget all of them."""
        for values in (self.ids, self.seconds, self.at):
            values.clear()

    def note(self, webhook_id: str, body: bytes) -> None:
        """Note one."""
        now = time.time()
        moment = json.loads(body)["timestamp"]
        self.ids.append(webhook_id)
        self.at.append(now)
        self.seconds.append(now - datetime.fromisoformat(moment).timestamp())


class Connection(asyncio.Protocol):
    """One connection; requests come one after the other.

    Args:
        arrivals: The webhooks of all connections.
    """

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._read = b""
        self._transport: asyncio.Transport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            line, *lines = self._read[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
            length = int(headers.get("content-length", 0))
            if len(self._read) < end + 4 + length:
                return
            body, self._read = self._read[end + 4 : end + 4 + length], self._read[end + 4 + length :]
            self._answer(line.split()[1], headers.get("webhook-id", ""), body)

    def _answer(self, path: str, webhook_id: str, body: bytes) -> None:
        found = self._arrivals
        if path == "/count":
            self._show(len(found.ids))
        elif path == "/arrivals":
            self._show(vars(found))
            found.forget()
        else:
            found.note(webhook_id, body)
            milliseconds = int(path.split("/")[2]) if path.startswith("/after/") else 0
            if milliseconds:
                asyncio.get_running_loop().call_later(milliseconds / 1000, self._transport.write, _OK)
            else:
                self._transport.write(_OK)

    def _show(self, value: object) -> None:
        text = json.dumps(value).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))


async def serve(port: int) -> None:
    """Listen until the process is ended."""
    arrivals = Arrivals()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(arrivals), LOOPBACK, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
