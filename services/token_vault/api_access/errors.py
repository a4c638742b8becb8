"""Failures of API keys, sessions and the edge's questions that a caller can act on."""

from datetime import timedelta

from services.meshkit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)


class RequestIdReused(InvalidArgument):
    """The request id was used within the last day for another request."""

    reason = "REQUEST_ID_REUSED"


class ApiKeyNotFound(NotFound):
    """There is no such API key."""

    reason = "API_KEY_NOT_FOUND"
    resource_type = "api_key"


class SessionNotFound(NotFound):
    """There is no such session."""

    reason = "SESSION_NOT_FOUND"
    resource_type = "session"


class LastAdminKey(FailedPrecondition):
    """This is the last admin key without limits: create another one that lasts as long, then revoke this one."""

    reason = "LAST_ADMIN_KEY"


class KeyRevoked(Unauthenticated):
    """The API key was revoked or has expired."""

    reason = "KEY_REVOKED"


class SessionInvalid(Unauthenticated):
    """The session has ended, or there is none: sign in again."""

    reason = "SESSION_INVALID"


class OriginNotProven(PermissionDenied):
    """The request has a session cookie, and does not prove that a page of this installation sent it."""

    reason = "ORIGIN_NOT_PROVEN"


class KeyRequired(PermissionDenied):
    """Only the API key itself may do this, not a session."""

    reason = "KEY_REQUIRED"


class SessionLimitReached(ResourceExhausted):
    """The API key has as many sessions as one key may have: sign out elsewhere first."""

    reason = "SESSION_LIMIT_REACHED"
    default_retry_after = timedelta(seconds=60)


class RouteNotFound(NotFound):
    """The edge has no route of this name."""

    reason = "ROUTE_NOT_FOUND"
    resource_type = "route"
