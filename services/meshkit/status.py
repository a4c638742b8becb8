"""The one translator between `MeshError` and its wire form: `google.rpc.Status` in the trailers of a call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.meshkit.errors import (
    DOMAIN,
    KINDS,
    DeadlineTooShort,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    MeshError,
    NotFound,
    PreconditionViolation,
    ServiceUnavailable,
    Unexpected,
)

_OURS_TO_ANSWER_FOR = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "INTERNAL"})
"""Codes that, coming from a service that we called, say that we are at fault and not who called us."""


_DETAILS_KEY = "grpc-status-details-bin"
_TEXT_CHARACTERS = 500
_VIOLATIONS_CHARACTERS = 3000


def to_status(error: MeshError) -> status_pb2.Status:
    """Render a failure as it travels: in trailers, of which many clients of gRPC take 8 KiB and no more.

    Texts that may repeat a part of the request are cut, and violations beyond the bound are left out.

    Returns:
        A status that always holds an `ErrorInfo`, and `BadRequest`, `PreconditionFailure`, `ResourceInfo` or
        `RetryInfo` where the kind has something to say there.
    """
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=_cut(error.message))
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def unexpected(error_id: str) -> Unexpected:
    """Make the failure that stands for an unhandled exception: an id for the logs and nothing else."""
    return Unexpected(metadata={"error_id": error_id})


def is_ours(error: MeshError) -> bool:
    """Tell whether a failure from another service must not be passed on as if our own caller had caused it."""
    return error.is_remote and error.code in _OURS_TO_ANSWER_FOR


def from_rpc_error(error: grpc.RpcError, peer: str = "") -> MeshError:
    """Make the failure that a called service meant.

    Args:
        error: The exception that the call raised.
        peer: The name of the called service, for failures that it did not speak of itself.

    Returns:
        An instance of the kind of the gRPC code, with the reason, metadata, violations and `retry_after` that the
        service sent. A service that could not be reached is `ServiceUnavailable`, an expired deadline
        `DeadlineTooShort`, any other code without `ErrorInfo` an `Internal` without a reason.
    """
    status = status_of(error)
    details = {} if status is None else _unpacked(status)
    if status is None or "ErrorInfo" not in details:
        return _silent(error.code(), error.details() or "", peer)
    return _spoken(status, details)


def status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    """Return the status that came with a failed call, None without a usable one. It raises nothing.

    The call's own code decides. A proxy on the way may answer with a code of its own and leave the details of another
    answer in place, or damage them: details of another code are left out. `rpc_status.from_call` raises then.
    """
    call = cast("grpc.Call", error)  # the errors of aio have every part of a call that is read here
    for name, value in call.trailing_metadata() or ():
        if name == _DETAILS_KEY and (status := _parsed(value)) is not None:
            return status if status.code == call.code().value[0] else None
    return None


def _parsed(value: str | bytes) -> status_pb2.Status | None:
    try:
        return status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
    except DecodeError:
        return None


def info_of(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """Return the reason and metadata that came with a failed call; empty without usable ones. It raises nothing."""
    status = status_of(error)
    info = _unpacked(status).get("ErrorInfo") if status is not None else None
    return info if isinstance(info, error_details_pb2.ErrorInfo) else error_details_pb2.ErrorInfo()


@contextmanager
def remote_errors(peer: str = "") -> Iterator[None]:
    """Turn the exception of a call inside of the block into the `MeshError` that the called service meant.

    Unary calls through `mesh_channel` do this by themselves; streams need the block around their reading.

    Args:
        peer: The name of the called service.

    Raises:
        MeshError: As `from_rpc_error` makes it.
    """
    try:
        yield
    except grpc.RpcError as exc:
        raise from_rpc_error(exc, peer) from exc


def _details(error: MeshError) -> Iterator[Message]:
    metadata = {name: _cut(value) for name, value in error.metadata.items()}
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    if isinstance(error, InvalidArgument) and error.violations:
        yield error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
                for field, text in _told(error.violations)
            ]
        )
    if isinstance(error, FailedPrecondition):
        yield error_details_pb2.PreconditionFailure(
            violations=[
                error_details_pb2.PreconditionFailure.Violation(
                    type=violation.kind, subject=violation.subject, description=violation.description
                )
                for violation in error.violations
            ]
        )
    if isinstance(error, NotFound) and error.resource:
        yield error_details_pb2.ResourceInfo(resource_type=error.resource_type, resource_name=_cut(error.resource))
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        yield retry


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_CHARACTERS else f"{text[:_TEXT_CHARACTERS]}..."


def _told(violations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield violations, each cut, until their bound is reached; the first one always."""
    left = _VIOLATIONS_CHARACTERS
    for field, text in violations.items():
        yield _cut(field), _cut(text)
        left -= len(_cut(field)) + len(_cut(text))
        if left <= 0:
            return


_DETAIL_TYPES: Mapping[str, type[Message]] = {
    detail.DESCRIPTOR.name: detail
    for detail in (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RetryInfo,
    )
}


def _unpacked(status: status_pb2.Status) -> dict[str, Message]:
    """The details that we know, by the short name of their type."""
    found: dict[str, Message] = {}
    for packed in status.details:
        name = packed.TypeName().rpartition(".")[2]
        if name in _DETAIL_TYPES:
            detail = _DETAIL_TYPES[name]()
            with suppress(DecodeError):  # a detail that is damaged says nothing; its neighbours do
                packed.Unpack(detail)
                found[name] = detail
    return found


def _spoken(status: status_pb2.Status, details: Mapping[str, Message]) -> MeshError:
    """A failure that the other side explained."""
    info = details["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)  # noqa: S101 - by construction of `_unpacked`
    kind = KINDS.get(code_pb2.Code.Name(code_pb2.Code.ValueType(status.code)), Internal)
    error = kind(
        status.message,
        metadata=info.metadata,
        retry_after=_retry_after(details.get("RetryInfo")),
        reason=info.reason,
        is_remote=True,
    )
    _restore(error, details)
    return error


def _restore(error: MeshError, details: Mapping[str, Message]) -> None:
    """Restore the details that only some kinds of failure have."""
    match details.get("BadRequest"), details.get("PreconditionFailure"), details.get("ResourceInfo"):
        case error_details_pb2.BadRequest() as bad, _, _ if isinstance(error, InvalidArgument):
            error.violations = {violation.field: violation.description for violation in bad.field_violations}
        case _, error_details_pb2.PreconditionFailure() as failure, _ if isinstance(error, FailedPrecondition):
            error.violations = tuple(
                PreconditionViolation(violation.type, violation.subject, violation.description)
                for violation in failure.violations
            )
        case _, _, error_details_pb2.ResourceInfo() as resource if isinstance(error, NotFound):
            error.resource, error.resource_type = resource.resource_name, resource.resource_type


def _retry_after(detail: Message | None) -> timedelta | None:
    return detail.retry_delay.ToTimedelta() if isinstance(detail, error_details_pb2.RetryInfo) else None


def _silent(code: grpc.StatusCode, text: str, peer: str) -> MeshError:
    """A failure that the other side did not explain, most often because it never heard of the call."""
    metadata = {"service": peer} if peer else {}
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED):
        return ServiceUnavailable(metadata=metadata, is_remote=True)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineTooShort(metadata=metadata, is_remote=True)
    kind = KINDS.get(code.name, Internal)
    return kind(f"{code.name}: {text}", metadata=metadata, is_remote=True)
