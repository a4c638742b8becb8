"""Answers to the probes of an orchestrator, over plain HTTP: `GET /live` and `GET /ready`.

`/live` says whether the event loop still turns and asks nothing else, since a restart repairs no dependency.
`/ready` says what the health service says. Neither answer holds anything about the installation.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from services.meshkit.metrics_server import served

LIVE_PATH = "/live"
READY_PATH = "/ready"
_BEAT_SECONDS = 1.0
_DEAD_SECONDS = 30.0


class Readiness:
    """Whether this process can do its work, as its health service last said."""

    def __init__(self) -> None:
        self.is_ready = False


READINESS = Readiness()
"""Of this process, as its metrics are."""


class Pulse:
    """Tells whether the event loop turns.

    Args:
        now: A monotonic clock, seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._beat = now()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(_BEAT_SECONDS)

    def beat(self) -> None:
        """Note that the loop turns."""
        self._beat = self._now()

    def is_live(self) -> bool:
        """Say whether the last beat is recent. Safe to call from any thread."""
        return self._now() - self._beat < _DEAD_SECONDS


@asynccontextmanager
async def serve_probes(listen: str, is_ready: Callable[[], bool]) -> AsyncIterator[int]:
    """Answer probes while the block runs.

    Args:
        listen: `host:port`; port 0 takes a free one. Empty serves nothing.
        is_ready: The answer of `/ready`; it is called in another thread.

    Yields:
        The port, 0 when nothing is served.

    Raises:
        OSError: The port is taken.
    """
    if not listen:  # no pulse either
        yield 0
        return
    pulse = Pulse()
    with served(listen, "probes", _application(pulse.is_live, is_ready)) as port:
        beating = asyncio.create_task(pulse.run(), name="pulse")
        try:
            yield port
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


def _application(is_live: Callable[[], bool], is_ready: Callable[[], bool]) -> Callable[..., Iterable[bytes]]:
    answers = {LIVE_PATH: is_live, READY_PATH: is_ready}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        ask = answers.get(environ.get("PATH_INFO", ""))
        status, text = ("404 Not Found", "no such probe") if ask is None else _answer(ask())
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    return application


def _answer(is_well: bool) -> tuple[str, str]:
    return ("200 OK", "yes") if is_well else ("503 Service Unavailable", "no")
