"""One line and one count for every call: caller, method, outcome, duration. Never a request or an answer."""

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache

import grpc
import structlog

from services.meshkit.correlation import correlation_id
from services.meshkit.identity.caller import KEY_ID_HEADER
from services.meshkit.interceptors.call import Call
from services.meshkit.metrics import RPC_HANDLED, RPC_IN_FLIGHT, RPC_SECONDS

logger = structlog.get_logger(__name__)

_OK = grpc.StatusCode.OK.name
_handled = lru_cache(maxsize=1024)(RPC_HANDLED.labels)
_seconds = lru_cache(maxsize=256)(RPC_SECONDS.labels)
_QUIET = ("/grpc.health.v1.Health/", "/grpc.reflection.")


class AccessLog:
    """Writes the outcome of each call, at `debug` for health checks and reflection.

    Args:
        quiet: Full names of methods whose calls are only counted, unless they fail: where there are thousands a second,
            a line for each would cost more than the call.
    """

    def __init__(self, quiet: Collection[str] = ()) -> None:
        self._quiet = frozenset(quiet)

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        """Log and count the call inside of the block. Its exceptions pass through."""
        line = {} if call.method in self._quiet else _opening(call)
        started = time.perf_counter()
        cancelled = False
        RPC_IN_FLIGHT.inc()
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            cancelled = True
            raise
        finally:
            RPC_IN_FLIGHT.dec()
            seconds = time.perf_counter() - started
            code = _cancel_code(call) if cancelled else _code(call)
            _handled(call.method, code).inc()
            _seconds(call.method).observe(seconds)
            if line or code != _OK:
                write = logger.debug if call.method.startswith(_QUIET) else logger.info
                write("call", grpc_code=code, milliseconds=round(seconds * 1000, 2), **(line or _opening(call)))


def _opening(call: Call) -> dict[str, str]:
    """Collect the facts at the beginning of a call; later is too late, since a dropped stream ends in another task."""
    line = {"method": call.method, "caller": call.peer, "correlation_id": correlation_id()}
    if call.headers.get(KEY_ID_HEADER):
        line["key_id"] = call.headers[KEY_ID_HEADER]
    return line


def _code(call: Call) -> str:
    code: grpc.StatusCode | None = call.context.code()  # None while nothing went wrong, whatever the stubs say
    return _OK if code is None else code.name


def _cancel_code(call: Call) -> str:
    left: float | None = call.context.time_remaining()  # None without a deadline, whatever the stubs say
    is_late = left is not None and left <= 0
    return (grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED).name
