"""Google's refusals: the API error object and the OAuth error body."""

from simulator.http import JSON, ApiError, Reply

_STATUS = {
    400: ("INVALID_ARGUMENT", "badRequest"),
    401: ("UNAUTHENTICATED", "authError"),
    403: ("PERMISSION_DENIED", "forbidden"),
    404: ("NOT_FOUND", "notFound"),
    405: ("METHOD_NOT_ALLOWED", "httpMethodNotAllowed"),
    409: ("ABORTED", "conflict"),
    412: ("FAILED_PRECONDITION", "failedPrecondition"),
    429: ("RESOURCE_EXHAUSTED", "rateLimitExceeded"),
    500: ("INTERNAL", "backendError"),
    501: ("UNIMPLEMENTED", "notImplemented"),
    503: ("UNAVAILABLE", "backendError"),
    504: ("DEADLINE_EXCEEDED", "backendError"),
}
_USAGE = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded"})


def api_reply(status: int, reason: str = "", message: str = "", *, retry_after: int | None = None) -> Reply:
    """Return an API error object as an answer.

    Args:
        status: HTTP status.
        reason: ``error.errors[0].reason``; has a default by status.
        message: For people.
        retry_after: Seconds for the Retry-After header.
    """
    name, usual = _STATUS.get(status, ("UNKNOWN", "backendError"))
    reason = reason or usual
    message = message or f"The simulator answers {reason}."
    domain = "usageLimits" if reason in _USAGE else "global"
    error: JSON = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
        "status": name,
    }
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
    return Reply(status, {"error": error}, headers)


def api_error(status: int, reason: str = "", message: str = "") -> ApiError:
    """Return an API error object as an exception."""
    return ApiError(api_reply(status, reason, message))


def oauth_error(error: str, description: str, status: int = 400, subtype: str = "") -> ApiError:
    """Return the token endpoint's refusal."""
    finer = {"error_subtype": subtype} if subtype else {}
    return ApiError(Reply(status, {"error": error, "error_description": description, **finer}))
