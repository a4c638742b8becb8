"""Failures that a caller can act on.

    MeshError
    ├── InvalidArgument        the request itself is wrong; repeating it fails again
    │   ├── FieldInvalid           FIELD_INVALID
    │   └── PageTokenInvalid       PAGE_TOKEN_INVALID
    ├── NotFound               there is no such thing, or the caller may not see it
    ├── FailedPrecondition     the request is valid, the state of its subject is not
    ├── OutOfRange             outside of the retained range
    ├── Unauthenticated        the caller is unknown
    │   ├── CallerUnknown          CALLER_UNKNOWN
    │   └── ApiKeyInvalid          API_KEY_INVALID
    ├── PermissionDenied       the caller is known and may not
    │   ├── CallerNotAllowed       CALLER_NOT_ALLOWED
    │   ├── RoleTooLow             ROLE_TOO_LOW
    │   └── KeyLacksAbility        KEY_LACKS_ABILITY
    ├── ResourceExhausted      a bound is reached; retry later
    │   └── Overloaded             OVERLOADED
    ├── Unavailable            a dependency is away for now; retry later
    │   ├── StoreUnavailable       STORE_UNAVAILABLE
    │   ├── ServiceUnavailable     SERVICE_UNAVAILABLE
    │   └── ShuttingDown           SHUTTING_DOWN
    ├── DeadlineExceeded       the caller's time is over
    │   └── DeadlineTooShort       DEADLINE_TOO_SHORT
    ├── Aborted                another caller was faster; read again and repeat
    │   └── Conflict               CONFLICT
    ├── DataLoss               stored data can no longer be read
    └── Internal               a fault of the mesh
        └── Unexpected             UNEXPECTED

The first level is a kind: it fixes the gRPC code and the details that travel. A service's own failures are one-line
subclasses of a kind, with the sentence for the caller as docstring and the catalogue's name as `reason`:

    class TenantNotFound(NotFound):
        \"\"\"There is no such tenant.\"\"\"

        reason = "TENANT_NOT_FOUND"
        resource_type = "tenant"

    raise TenantNotFound(resource=tenant_id)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, TypedDict, Unpack

DOMAIN = "mailmesh"
"""The `domain` of every `google.rpc.ErrorInfo` of the mesh."""


@dataclass(frozen=True)
class PreconditionViolation:
    """One thing whose state stands in the way.

    Args:
        kind: The class of the condition; the error's reason unless there is a finer one.
        subject: The thing in the wrong state, as the caller knows it.
        description: A sentence that says how to get out of it.
    """

    kind: str
    subject: str
    description: str


class Common(TypedDict, total=False):
    """Arguments that every kind of failure takes."""

    metadata: Mapping[str, str] | None
    retry_after: timedelta | None
    reason: str
    is_remote: bool


class MeshError(Exception):
    """A failure that a caller can act on.

    Args:
        message: The sentence for the caller. Default: the first line of the class's docstring. No secret in it.
        metadata: The catalogue's keys for this reason. Short strings, no secret in them.
        retry_after: The time after which a retry makes sense, or None if that is unknown or never.
        reason: Overrides the class's reason; for failures that come from another service.
        is_remote: The failure was decided by another service and is passed on.
    """

    code: ClassVar[str] = "INTERNAL"
    default_retry_after: ClassVar[timedelta | None] = None
    reason: str = ""

    def __init__(
        self,
        message: str = "",
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
        reason: str = "",
        is_remote: bool = False,
    ) -> None:
        super().__init__(message or _sentence(type(self)))
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after if retry_after is not None else self.default_retry_after
        self.is_remote = is_remote
        if reason:
            self.reason = reason

    @property
    def message(self) -> str:
        """The sentence for the caller."""
        return str(self.args[0])


class InvalidArgument(MeshError):
    """The request is not valid.

    Args:
        violations: The faults by the path of the field (`tenant.display_name`, `items[3].id`).
    """

    code = "INVALID_ARGUMENT"

    def __init__(
        self,
        message: str = "",
        *,
        violations: Mapping[str, str] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.violations = dict(violations or {})
        known = {"field": next(iter(self.violations))} if self.violations else {}
        super().__init__(
            message or "; ".join(f"{field}: {text}" for field, text in self.violations.items()),
            **common,
        )
        self.metadata = known | self.metadata


class NotFound(MeshError):
    """There is no such thing.

    Args:
        resource: The name or id that was asked for, as the caller gave it.
    """

    code = "NOT_FOUND"
    resource_type: str = ""

    def __init__(
        self,
        message: str = "",
        *,
        resource: str = "",
        **common: Unpack[Common],
    ) -> None:
        super().__init__(message, **common)
        self.resource = resource


class FailedPrecondition(MeshError):
    """The state of things does not allow it.

    Args:
        subject: The thing in the wrong state; makes one violation out of the reason and the message.
        violations: Every obstacle, if there is more than one.
    """

    code = "FAILED_PRECONDITION"

    def __init__(
        self,
        message: str = "",
        *,
        subject: str = "",
        violations: tuple[PreconditionViolation, ...] = (),
        **common: Unpack[Common],
    ) -> None:
        super().__init__(message, **common)
        self.violations = violations or (PreconditionViolation(self.reason, subject, self.message),)


class OutOfRange(MeshError):
    """The position lies outside of the retained range."""

    code = "OUT_OF_RANGE"


class Unauthenticated(MeshError):
    """The caller is not known."""

    code = "UNAUTHENTICATED"


class PermissionDenied(MeshError):
    """The caller may not do this."""

    code = "PERMISSION_DENIED"


class ResourceExhausted(MeshError):
    """A bound is reached. Retry later."""

    code = "RESOURCE_EXHAUSTED"
    default_retry_after = timedelta(seconds=1)


class Unavailable(MeshError):
    """Not available for now. Retry later."""

    code = "UNAVAILABLE"
    default_retry_after = timedelta(seconds=1)


class DeadlineExceeded(MeshError):
    """The time for the call is over."""

    code = "DEADLINE_EXCEEDED"


class Aborted(MeshError):
    """Another caller changed it at the same time. Read again and repeat."""

    code = "ABORTED"


class DataLoss(MeshError):
    """Stored data cannot be read."""

    code = "DATA_LOSS"


class Internal(MeshError):
    """Something went wrong that should not."""

    code = "INTERNAL"


class FieldInvalid(InvalidArgument):
    """A field of the request is missing, malformed or out of its range."""

    reason = "FIELD_INVALID"

    @classmethod
    def of(cls, field: str, description: str) -> "FieldInvalid":
        """Make the error for one field: `FieldInvalid.of("tenant_id", "is not a UUID")`."""
        return cls(violations={field: description})


class PageTokenInvalid(InvalidArgument):
    """The page token was altered, or comes from a request with other fields."""

    reason = "PAGE_TOKEN_INVALID"


class CallerUnknown(Unauthenticated):
    """The caller has no certificate of the mesh."""

    reason = "CALLER_UNKNOWN"


class ApiKeyInvalid(Unauthenticated):
    """The API key is missing or not valid."""

    reason = "API_KEY_INVALID"


class CallerNotAllowed(PermissionDenied):
    """The caller may not call this."""

    reason = "CALLER_NOT_ALLOWED"


class RoleTooLow(PermissionDenied):
    """The API key's role may not call this."""

    reason = "ROLE_TOO_LOW"


class KeyLacksAbility(PermissionDenied):
    """The API key does not have the ability that this needs."""

    reason = "KEY_LACKS_ABILITY"


class Overloaded(ResourceExhausted):
    """The service has as much to do as it can bear."""

    reason = "OVERLOADED"


class StoreUnavailable(Unavailable):
    """The database did not answer in time."""

    reason = "STORE_UNAVAILABLE"


class ServiceUnavailable(Unavailable):
    """A service of the mesh did not answer."""

    reason = "SERVICE_UNAVAILABLE"


class ShuttingDown(Unavailable):
    """The service is stopping. Open the stream again."""

    reason = "SHUTTING_DOWN"


class DeadlineTooShort(DeadlineExceeded):
    """The rest of the deadline did not suffice."""

    reason = "DEADLINE_TOO_SHORT"


class Conflict(Aborted):
    """The thing was changed at the same time by another."""

    reason = "CONFLICT"


class Unexpected(Internal):
    """Something went wrong that should not; the id in the metadata finds it in the logs."""

    reason = "UNEXPECTED"


KINDS: Mapping[str, type[MeshError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        FailedPrecondition,
        OutOfRange,
        Unauthenticated,
        PermissionDenied,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Aborted,
        DataLoss,
        Internal,
    )
}
"""The kinds by the name of their gRPC code."""


def _sentence(error: type[MeshError]) -> str:
    return (error.__doc__ or error.__name__).strip().splitlines()[0]
