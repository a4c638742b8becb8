"""The failures of an attempt, with the reasons that a run shows."""

import traceback
from pathlib import Path
from types import TracebackType

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.meshkit.errors import MeshError

_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Codes of calls that fail again however often they are repeated."""


class RunFailure(Exception):  # noqa: N818 - named as a run shows it
    """A failure with its reason; a repeated attempt would fail in the same way."""

    reason = "STEP_FAILED"


class StateTooLarge(RunFailure):
    """The state, or a result of a step, has more than 64 KiB. States hold ids."""

    reason = "STATE_TOO_LARGE"


class QuestionInvalid(RunFailure):
    """A question is not JSON, or has more than 4 KiB."""

    reason = "QUESTION_INVALID"


class AskedTwice(RunFailure):
    """A step asked a second question after the answer to its first. Each question needs a step of its own."""

    reason = "ASKED_TWICE"


class TooManySteps(RunFailure):
    """The run has more than 100 steps: a graph that runs in a circle ends."""

    reason = "TOO_MANY_STEPS"


class LeaseLost(Exception):  # noqa: N818 - the attempt ends without an effect
    """Another process holds the run, or it was cancelled or has ended."""


def describe(error: Exception) -> tuple[str, str, bool]:
    """Return the reason and the detail of a failed attempt, and whether another attempt makes sense.

    The detail has no message of the failure: it could quote a mail.
    """
    if isinstance(error, RunFailure):
        return error.reason, type(error).__name__, False
    if isinstance(error, grpc.aio.AioRpcError):
        is_refused = error.code() in _REFUSALS
        return ("CALL_REFUSED" if is_refused else "STEP_FAILED"), _reason(error), not is_refused
    if isinstance(error, TimeoutError):
        return "ATTEMPT_TIMEOUT", _where(error.__traceback__), True
    if isinstance(error, MeshError):
        return "STEP_FAILED", error.reason, True
    return "STEP_FAILED", f"{type(error).__name__} {_where(error.__traceback__)}".strip(), True


def _reason(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # has the fields that it reads
    except (ValueError, DecodeError):
        status = None
    found = any(detail.Unpack(info) for detail in (status.details if status else ()))
    return info.reason if found else error.code().name


def _where(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
