"""The failures of calls, by the reason that mailmesh gives."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

CURSOR_LOST = frozenset({"CURSOR_EXPIRED", "CURSOR_EPOCH_CHANGED"})
KEY_REFUSED = frozenset({"API_KEY_INVALID", "KEY_REVOKED"})


class MailmeshError(Exception):
    """A call that failed.

    Attributes:
        reason: A name of the catalogue `ErrorReason` without its prefix, or of a later one. Empty when the failure is
            not mailmesh's own: a broken connection, a proxy on the way.
        code: The code of gRPC.
        metadata: The values that the reason's entry in the catalogue names.
        retry_after_seconds: The pause that mailmesh asks for, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{reason or code.name}: {message}")
        self.code, self.reason = code, reason
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds


class CursorLostError(MailmeshError):
    """Events after the cursor are gone; reading can continue from `oldest_cursor`."""

    @property
    def oldest_cursor(self) -> str:
        """The oldest cursor that is still served."""
        return self.metadata.get("oldest_cursor", "")


class KeyRefusedError(MailmeshError):
    """The API key is unknown, expired or revoked. Another key is needed."""


def error_of(error: grpc.RpcError) -> MailmeshError:
    """Return the typed error of a failed call, of grpc or of grpc.aio."""
    call: Any = error
    details = _details(call)
    kind = MailmeshError
    if details.info.reason in CURSOR_LOST:
        kind = CursorLostError
    elif details.info.reason in KEY_REFUSED:
        kind = KeyRefusedError
    return kind(
        call.details() or "",
        code=call.code(),
        reason=details.info.reason,
        metadata=details.info.metadata,
        retry_after_seconds=details.retry_after_seconds,
    )


@contextmanager
def typed_errors() -> Iterator[None]:
    """Raise `MailmeshError` instead of the errors of gRPC within the block, which may await."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_of(error) from error


class _Details:
    def __init__(self, status: status_pb2.Status | None) -> None:
        self.info = error_details_pb2.ErrorInfo()
        self.retry_after_seconds: float | None = None
        retry = error_details_pb2.RetryInfo()
        for detail in status.details if status else ():
            if detail.Unpack(retry):
                self.retry_after_seconds = max(0.0, retry.retry_delay.ToTimedelta().total_seconds())
            elif not self.info.reason:
                detail.Unpack(self.info)
        if self.info.domain != "mailmesh":
            self.info.Clear()


def _details(call: Any) -> _Details:
    try:
        return _Details(rpc_status.from_call(call))
    except (ValueError, OverflowError, DecodeError):
        # A proxy on the way wrote a code, a message or details of its own.
        return _Details(None)
