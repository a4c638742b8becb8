"""Structured logs: one JSON object a line, to standard error, with the correlation id and without secrets.

    logger = structlog.get_logger(__name__)
    logger.info("token issued", tenant_id=tenant_id, seconds_left=300)

A value that its type, its name or its form marks as a secret is masked on the way out, in records of foreign libraries
too. The masking is the last line of defence and not a reason to log a secret.
"""

import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from services.meshkit.correlation import correlation_id
from services.meshkit.metrics import LOG_LINES_LOST
from services.meshkit.secret import MASK, Secret
from services.meshkit.tracing import trace_id

_SECRET_WORDS = frozenset({
    "authorization", "body", "client_state", "clientstate", "code", "code_verifier", "cookie", "credential", "key",
    "password", "raw", "secret", "state", "token", "tokens",
})  # fmt: skip
_SAFE_NAMES = frozenset({"grpc_code", "page_token", "status_code", "error_code"})
_SECRET_SHAPES = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # a JSON web token
    r"|(?i:bearer\s+)[\w.~+/=-]{8,}"
    r"|\bmm_[\w-]{8,}"  # an API key
    r"|\bya29\.[\w-]{8,}|\b1//[\w-]{16,}"  # access and refresh tokens of one provider
    r"|\b[01]\.A[\w.-]{64,}"  # refresh tokens of the other
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user and password of a URL
    r"|(?i:(?<=[?&;\s])(?:code|state|client_secret|refresh_token|access_token|ticket|password)=)[^&\s\"']+"
)
_MAX_DEPTH = 6
_MAX_TRACEBACK = 8000
_INTERNAL = frozenset({"_record", "_from_structlog"})
_NOISY = ("alembic", "asyncio", "httpcore", "httpx", "hpack", "urllib3")


class _Writer:
    """Writes finished lines straight to the stream, without the detour over the standard library's records.

    A line that cannot be written (a full or read-only disk, a reader that has gone) is counted and lost: logs that
    cannot be written stop no work, and no loop ends by the log line about its failure.
    """

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name = name
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):  # a ValueError is a stream that is closed
            LOG_LINES_LOST.inc()

    debug = info = warning = error = critical = exception = msg


def configure_logs(service: str, level: str = "info", stream: TextIO = sys.stderr) -> None:
    """Send the logs of this process, the standard library's too, as JSON lines.

    Args:
        service: The process's mesh identity; stands on every line.
        level: The least level that is written: debug, info, warning or error.
        stream: The destination.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    described = _processors(service)
    structlog.configure(
        processors=[*described, structlog.processors.JSONRenderer()],
        logger_factory=lambda *names: _Writer(str(names[0]) if names else "", stream),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(described))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, number))


def redact(value: Any, depth: int = 0) -> Any:
    """Mask each secret, recognised by its type, its name or its form, at any depth."""
    if isinstance(value, str):
        return _SECRET_SHAPES.sub(MASK, value)
    match value:
        case Secret() | SecretStr():
            shown: Any = MASK
        case None | bool() | int() | float():
            shown = value
        case bytes() | bytearray() | memoryview():
            shown = f"<{len(value)} bytes>"
        case Mapping() | list() | tuple() | set() | frozenset():
            shown = _redact_inside(value, depth) if depth < _MAX_DEPTH else "..."
        case _:
            shown = _SECRET_SHAPES.sub(MASK, str(value))
    return shown


def _redact_inside(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _redact_named(str(name), item, depth) for name, item in value.items()}
    return [redact(item, depth + 1) for item in value]


def _redact_named(name: str, value: Any, depth: int) -> Any:
    """Mask a value whose name marks a secret. Numbers and None are shown under any name, such as a count of tokens."""
    is_telling = isinstance(value, str | bytes | Mapping | list | tuple | set | frozenset)
    return MASK if is_telling and is_secret_name(name) else redact(value, depth + 1)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a value under this name is masked whatever it is: `refresh_token`, `clientState`, `body`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|-", "_", name).lower()
    if words in _SAFE_NAMES:
        return False
    return words in _SECRET_WORDS or bool(
        _SECRET_WORDS.intersection(words.split("_")) - {"code", "state", "key", "raw"}
    )


def _processors(service: str) -> list[Processor]:
    """Return the processors of every line. Our own additions come after the redaction and need none."""

    def add_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        for name, value in (("correlation_id", correlation_id()), ("trace_id", trace_id())):
            if value:
                event.setdefault(name, value)
        return event

    return [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _bound_traceback,
        _redact_event,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_context,
    ]


def _bound_traceback(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep the end of a long traceback: an exception's text can hold what a caller sent."""
    text = event.get("exception")
    if isinstance(text, str) and len(text) > _MAX_TRACEBACK:
        event["exception"] = f"... {text[-_MAX_TRACEBACK:]}"
    return event


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # The record of a foreign line is not content; the formatter takes it out.
    return {name: item if name in _INTERNAL else _redact_named(name, item, 0) for name, item in event.items()}


def _formatter(described: list[Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *described],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
