"""Connects the command line to the mesh: through the edge, with an API key, by the generated client."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import typer
from cryptography import x509
from tenacity import Retrying, retry_if_result, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from stack.cli.exits import CommandError, Exit
from stack.data_directory import DEFAULT_FOLDER, DataDirectory
from stack.ready import Ready

CALL_SECONDS = 30.0
_KEY = re.compile("[!-~]{1,1000}")
# Making a subscription calls the provider; making many makes many calls.
LONG_CALL_SECONDS = 300.0
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    # A call that gRPC itself repeats may hang for ever, its deadline notwithstanding: grpc/grpc issue 41036.
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
]


@dataclass(frozen=True)
class Target:
    """The mesh to call, and the API key to use.

    Attributes:
        data: Data directory of a stack on this machine.
        server: `host:port` of the edge; empty takes the data directory's.
        key_file: File with the API key.
        ca_file: Authority of an edge that speaks TLS.
        is_tls: Whether the edge speaks TLS.
    """

    data: Path = DEFAULT_FOLDER
    server: str = ""
    key_file: Path | None = None
    ca_file: Path | None = None
    is_tls: bool = False

    def ready(self) -> Ready:
        """Returns the addresses and files of the stack in the data directory.

        Raises:
            CommandError: No stack is ready there.
        """
        data = DataDirectory(self.data)
        try:
            return Ready.read(data.ready_file)
        except FileNotFoundError:
            message = f"no mesh is ready in {self.data}: start one with `mailmesh up`, or name it with --server"
            raise CommandError(message, Exit.UNAVAILABLE) from None
        except (ValueError, RecursionError) as fault:
            raise CommandError(f"{data.ready_file} is damaged: restart `mailmesh up`", Exit.UNAVAILABLE) from fault

    def key(self) -> str:
        """Returns the API key: of --key-file, of MAILMESH_API_KEY, or the stack's own.

        Raises:
            CommandError: There is none.
        """
        if self.key_file is not None:
            return _read_key(self.key_file)
        if given := os.environ.get("MAILMESH_API_KEY", "").strip():
            return _checked(given, "MAILMESH_API_KEY")
        if self.server:
            raise CommandError("an API key is needed: --key-file FILE or MAILMESH_API_KEY", Exit.DENIED)
        return _read_key(self.ready().admin_key_file)

    def address(self) -> str:
        """Returns `host:port` of the edge."""
        return self.server or self.ready().grpc


def target(context: typer.Context) -> Target:
    """Returns the target that the root command was given."""
    found = context.find_object(Target)
    return found if found is not None else Target()


@contextmanager
def channel(context: typer.Context) -> Iterator[grpc.Channel]:
    """Opens a channel to the edge that sends the API key with each call.

    Raises:
        CommandError: No mesh was named and none is ready here, or there is no key.
    """
    wanted = target(context)
    with _open(wanted) as opened:
        yield with_key(opened, wanted.key())


def with_key(opened: grpc.Channel, key: str) -> grpc.Channel:
    """Returns a channel that sends an API key with each call."""
    return grpc.intercept_channel(opened, _KeyInterceptor(key))


def _open(wanted: Target) -> grpc.Channel:
    if not (wanted.is_tls or wanted.ca_file):
        return grpc.insecure_channel(wanted.address(), CHANNEL_OPTIONS)
    authorities = _read_authorities(wanted.ca_file) if wanted.ca_file is not None else None
    return grpc.secure_channel(wanted.address(), grpc.ssl_channel_credentials(authorities), CHANNEL_OPTIONS)


def _read_authorities(path: Path) -> bytes:
    """Returns a file of certificates. gRPC would take any other for an edge that cannot be reached."""
    text = path.read_bytes()
    try:
        x509.load_pem_x509_certificates(text)
    except ValueError as fault:
        raise CommandError(f"{path} holds no certificate in PEM", Exit.USAGE) from fault
    return text


def _read_key(path: Path) -> str:
    try:
        text = path.read_text(encoding="latin-1").strip()
    except OSError as fault:
        raise CommandError(f"the API key cannot be read from {path}: {fault.strerror}", Exit.DENIED) from fault
    return _checked(text, str(path))


def _checked(key: str, place: str) -> str:
    """Returns a key that a header can hold. No part of one that is none is shown."""
    if not _KEY.fullmatch(key):
        raise CommandError(f"{place} holds no API key: it is one word of printable ASCII characters", Exit.DENIED)
    return key


@dataclass(frozen=True)
class _CallDetails(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...] | None
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _KeyInterceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds the key to each call. gRPC's own call credentials would do it too, but only over TLS."""

    def __init__(self, key: str) -> None:
        self._key = key

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        # UNAVAILABLE means that the mesh refused the call before any work: an edge or a service that is restarting.
        repeating = Retrying(
            stop=stop_after_attempt(4) | stop_before_delay(CALL_SECONDS),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            retry=retry_if_result(lambda call: call.code() is grpc.StatusCode.UNAVAILABLE),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        return repeating(continuation, self._with_key(details, CALL_SECONDS), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return continuation(self._with_key(details, None), request)

    def _with_key(self, details: Any, timeout: float | None) -> _CallDetails:
        return _CallDetails(
            method=details.method,
            timeout=details.timeout if details.timeout is not None else timeout,
            metadata=(*(details.metadata or ()), ("authorization", f"Bearer {self._key}")),
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
            compression=details.compression,
        )
