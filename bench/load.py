"""A source of load over HTTP/1.1: the least processing per request that Python allows, in a process of its own.

`python -m bench.load PLAN.json OUTCOME.json` sends the requests of a plan and writes their outcome. Bodies are made
from a template beforehand: only the message ids differ.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop
from typing_extensions import override

ANSWER_SECONDS = 30.0
_ID = b"@MESSAGE-ID-GOES-HERE-32-LETTERS"


@dataclass(frozen=True)
class Plan:
    """The requests to send.

    Args:
        port: The port on this machine.
        path: The path of the webhook.
        bodies: Templates in which every `@MESSAGE-ID-GOES-HERE-32-LETTERS` becomes a new id; sent in turn.
        connections: The number of open connections.
        seconds: The duration.
        per_second: Requests to send in a second; 0 sends the next one when the answer has arrived.
        prefix: The beginning of every id, so that no two runs send the same id.
    """

    port: int
    path: str
    bodies: list[str]
    connections: int
    seconds: float
    per_second: float = 0.0
    prefix: str = "A"


@dataclass
class Outcome:
    """The outcome.

    Args:
        statuses: Answers by HTTP status.
        seconds: The time from the first request to the last answer.
        milliseconds: The time of each 2xx, from its due time to its answer.
        refusal_milliseconds: The time of each 503, from its sending.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    refusal_milliseconds: list[float] = field(default_factory=list)


class _Source:
    """The source of the requests, and the counter of their answers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.statuses: Counter[str] = Counter()
        self.outcome = Outcome()
        self._number = 0
        self._pieces = [_pieces(plan, body.encode()) for body in plan.bodies]

    def request(self) -> bytes:
        self._number += 1
        parts = self._pieces[self._number % len(self._pieces)]
        out = [parts[0]]
        for index, part in enumerate(parts[1:]):
            out.append(b"%b%023d%04d" % (self.plan.prefix.encode().ljust(5, b"x")[:5], self._number, index))
            out.append(part)
        return b"".join(out)

    def answered(self, status: str, due_at: float, sent_at: float) -> None:
        self.statuses[status] += 1
        now = time.perf_counter()
        if status.startswith("2"):
            self.outcome.milliseconds.append(round((now - due_at) * 1000, 3))
        elif status == "503":
            self.outcome.refusal_milliseconds.append(round((now - sent_at) * 1000, 3))


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next. The edge may close it with a refusal; then it is reopened."""

    def __init__(self, source: _Source, on_free: Callable[["_Connection"], None]) -> None:
        self._source = source
        self._on_free = on_free
        self._buffer = b""
        self._due_at = self._sent_at = 0.0
        self._is_waiting = False
        self.is_lost = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, due_at: float) -> None:
        self._due_at, self._sent_at, self._is_waiting = due_at, time.perf_counter(), True
        self._transport.write(self._source.request())

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = _end(self._buffer)
        if end < 0:
            return
        head = self._buffer[: self._buffer.find(b"\r\n\r\n")].lower()
        status, self._buffer = self._buffer[9:12].decode(), self._buffer[end:]
        self.is_lost = b"connection: close" in head
        self._answered(status)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._is_waiting:
            self._answered("lost")

    def _answered(self, status: str) -> None:
        self._is_waiting = False
        self._source.answered(status, self._due_at, self._sent_at)
        self._on_free(self)

    def close(self) -> None:
        self._transport.close()


def _end(buffer: bytes) -> int:
    """Return the end of the first answer in a buffer; -1 when it is incomplete."""
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return -1
    lower = buffer[:head].lower()
    at = lower.find(b"content-length:")
    if at < 0:
        if b"chunked" in lower:
            last = buffer.find(b"0\r\n\r\n", head)
            return last + 5 if last >= 0 else -1
        return head + 4
    length = int(lower[at + 15 :].split(b"\r\n", 1)[0])
    return head + 4 + length if len(buffer) >= head + 4 + length else -1


def _pieces(plan: Plan, body: bytes) -> list[bytes]:
    head = f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return (head.encode() + body).split(_ID)


async def run(plan: Plan) -> Outcome:
    """Send the requests of a plan."""
    source, free = _Source(plan), asyncio.Queue[_Connection]()
    for _ in range(plan.connections):
        free.put_nowait(await _connect(source, free))
    began = time.perf_counter()
    await _send(source, free, began)
    async with asyncio.timeout(ANSWER_SECONDS):
        for _ in range(plan.connections):
            (await free.get()).close()
    source.outcome.seconds = time.perf_counter() - began
    source.outcome.statuses = dict(source.statuses)
    return source.outcome


async def _connect(source: _Source, free: "asyncio.Queue[_Connection]") -> _Connection:
    loop = asyncio.get_running_loop()
    port = source.plan.port
    _, connection = await loop.create_connection(lambda: _Connection(source, free.put_nowait), "127.0.0.1", port)
    return connection


async def _send(source: _Source, free: "asyncio.Queue[_Connection]", began: float) -> None:
    """Send on any free connection: at once, or at fixed times whether or not earlier requests are answered."""
    number, ends_at = 0, began + source.plan.seconds
    while time.perf_counter() < ends_at:
        due_at = began + number / source.plan.per_second if source.plan.per_second else 0.0
        ahead = due_at - time.perf_counter()
        if ahead > 0.001:  # noqa: PLR2004 - finer than the timer
            await asyncio.sleep(min(ahead, ends_at - time.perf_counter()))
            continue
        connection = await asyncio.wait_for(free.get(), ANSWER_SECONDS)
        if connection.is_lost:
            connection.close()
            connection = await _connect(source, free)
        connection.send(due_at or time.perf_counter())
        number += 1


def main() -> None:
    """Read the plan, run it, write the outcome."""
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    outcome: dict[str, Any] = asdict(uvloop.run(run(plan)))
    Path(sys.argv[2]).write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
