"""The tree of failures and its way over the wire and back."""

from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc.aio import AioRpcError, Metadata
from grpc_status import rpc_status

from services.meshkit import errors
from services.meshkit.status import from_rpc_error, info_of, is_ours, remote_errors, to_status, unexpected


class ThingNotFound(errors.NotFound):
    """There is no such thing.

    More about it, for those who read the code.
    """

    reason = "THING_NOT_FOUND"
    resource_type = "thing"


class ThingLocked(errors.FailedPrecondition):
    """The thing is locked."""

    reason = "THING_LOCKED"


def over_the_wire(error: errors.MeshError) -> errors.MeshError:
    """A client reads the failure that a server has sent."""
    status = rpc_status.to_status(to_status(error))
    trailers = Metadata(*status.trailing_metadata)
    return from_rpc_error(AioRpcError(status.code, Metadata(), trailers, status.details))


def silent(code: grpc.StatusCode) -> errors.MeshError:
    """A client reads a bare code."""
    return from_rpc_error(AioRpcError(code, Metadata(), Metadata(), "text"), "token-vault")


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


EVERYTHING = [
    errors.FieldInvalid.of("tenant_id", "must be a UUID"),
    errors.FieldInvalid(violations={"a": "is required", "b.c": "is too long"}),
    errors.PageTokenInvalid(violations={"page_token": "does not belong to this request"}),
    ThingNotFound(resource="7"),
    ThingLocked(subject="7"),
    ThingLocked(
        violations=(
            errors.PreconditionViolation("A", "x", "first"),
            errors.PreconditionViolation("B", "y", "second"),
        )
    ),
    errors.OutOfRange("too old", reason="CURSOR_EXPIRED", metadata={"oldest": "abc"}),
    errors.CallerUnknown(),
    errors.RoleTooLow(metadata={"required_role": "admin", "role": "reader"}),
    errors.Overloaded(retry_after=timedelta(seconds=7, milliseconds=250)),
    errors.StoreUnavailable(),
    errors.DeadlineTooShort(),
    errors.Conflict(),
    errors.DataLoss("broken", reason="SEAL_BROKEN"),
    unexpected("019a9f0e-7c1e-7000-8000-000000000007"),
]


@pytest.mark.parametrize("sent", EVERYTHING, ids=lambda error: type(error).__name__)
def test_a_failure_says_the_same_on_both_sides(sent):
    received = over_the_wire(sent)

    assert (sent.code, sent.reason, sent.metadata, sent.message, sent.retry_after) == (
        received.code,
        received.reason,
        received.metadata,
        received.message,
        received.retry_after,
    )
    assert getattr(sent, "violations", None) == getattr(received, "violations", None)
    assert getattr(sent, "resource", None) == getattr(received, "resource", None)
    assert received.is_remote


def test_the_message_is_the_first_line_of_the_docstring():
    assert "There is no such thing." == ThingNotFound(resource="7").message


def test_a_field_violation_names_the_field_in_the_metadata():
    assert {"field": "a"} == errors.FieldInvalid(violations={"a": "x", "b": "y"}).metadata


def test_a_status_fits_the_trailers_that_clients_take_by_default():
    long = "x" * 100_000
    violations = {f"{long}[{number}]": long for number in range(50)}
    for error in (
        errors.FieldInvalid(long, violations=violations),
        errors.Conflict(metadata={"field": long}),
        errors.NotFound(resource=long),
    ):
        assert to_status(error).ByteSize() < 6 * 1024


def test_a_status_always_holds_the_reason_and_the_domain():
    info = error_details_pb2.ErrorInfo()

    assert to_status(errors.Conflict()).details[0].Unpack(info)
    assert ("CONFLICT", "mailmesh") == (info.reason, info.domain)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.ServiceUnavailable),
        (grpc.StatusCode.CANCELLED, errors.ServiceUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineTooShort),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Internal),
        (grpc.StatusCode.UNKNOWN, errors.Internal),
    ],
)
def test_a_code_without_details_still_has_a_kind(code, expected):
    error = silent(code)

    assert expected is type(error)
    assert "token-vault" == error.metadata["service"]


def test_what_another_service_holds_against_us_is_not_our_callers_fault():
    assert [True, True, False, False] == [
        is_ours(over_the_wire(errors.CallerUnknown())),
        is_ours(over_the_wire(unexpected("1"))),
        is_ours(over_the_wire(errors.StoreUnavailable())),
        is_ours(errors.CallerUnknown()),
    ]


def test_a_block_around_a_call_translates_its_failure():
    with pytest.raises(errors.ServiceUnavailable), remote_errors("ingest"):
        raise AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), "connection refused")


def test_every_reason_of_the_plumbing_belongs_to_one_class():
    named = [cls.reason for cls in subclasses(errors.MeshError) if cls.__module__ == errors.__name__ and cls.reason]

    assert len(set(named)) == len(named)


def test_the_drawn_tree_shows_every_class():
    shown = errors.__doc__ or ""

    assert [] == [
        cls.__name__
        for cls in subclasses(errors.MeshError)
        if cls.__module__ == errors.__name__ and cls.__name__ not in shown
    ]


NO_STORE = to_status(errors.StoreUnavailable()).SerializeToString()


@pytest.mark.parametrize(
    ("code", "details", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, NO_STORE, "STORE_UNAVAILABLE"),
        (grpc.StatusCode.UNKNOWN, NO_STORE, ""),
        (grpc.StatusCode.UNAVAILABLE, NO_STORE[:-1], ""),
        (grpc.StatusCode.UNAVAILABLE, NO_STORE.replace(b"STORE_UNAVAILABLE", b"\xff" * 17), ""),
    ],
    ids=["another message", "another code", "cut", "no text"],
)
def test_details_that_a_proxy_left_or_damaged_cause_no_accident(code, details, reason):
    fault = AioRpcError(code, Metadata(), Metadata(("grpc-status-details-bin", details)), "A text of the proxy.")

    assert (reason, code) == (info_of(fault).reason, fault.code())
    assert reason == from_rpc_error(fault).reason or not reason


def test_a_tampered_detail_is_no_reason():
    trailers = Metadata(("grpc-status-details-bin", b"\x08\x05\x12\x02no"))
    error = from_rpc_error(AioRpcError(grpc.StatusCode.NOT_FOUND, Metadata(), trailers, "no"))

    assert ("", errors.NotFound) == (error.reason, type(error))
