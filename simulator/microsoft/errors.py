"""Microsoft's refusals: Graph's error object and the identity platform's AADSTS bodies."""

import uuid
from datetime import datetime

from simulator.http import ApiError, Reply

DESCRIPTIONS = {
    50011: "The redirect URI '{detail}' specified in the request does not match the redirect URIs "
    "configured for the application.",
    50034: "The user account {detail} does not exist in the directory.",
    50057: "The user account is disabled.",
    50076: "Due to a configuration change made by your administrator, you must use multi-factor "
    "authentication to access the resource.",
    50079: "Due to a configuration change made by your administrator, you must enroll in multi-factor authentication.",
    50173: "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user "
    "might have changed or reset their password.",
    50196: "The server terminated an operation because it encountered a client request loop. Please "
    "contact your app vendor.",
    53003: "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
    54005: "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an "
    "existing refresh token.",
    65001: "The user or administrator has not consented to use the application with ID '{detail}'.",
    65004: "User declined to consent to access the app.",
    70000: "Provided grant is invalid or malformed.",
    70008: "The provided authorization code or refresh token has expired due to inactivity. Send a new "
    "interactive authorization request.",
    700016: "Application with identifier '{detail}' was not found in the directory.",
    700082: "The refresh token has expired due to inactivity.",
    700023: "Client assertion audience claim does not match Realm issuer. {detail}",
    700024: "Client assertion is not within its valid time range.",
    700027: "The certificate with identifier used to sign the client assertion is not registered on application. "
    "{detail}",
    50027: "Invalid JWT token. {detail}",
    7000215: "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value.",
    70011: "The provided value for the input parameter 'scope' is not valid. The scope '{detail}' is not valid.",
    90002: "Tenant '{detail}' not found. Check to make sure you have the correct tenant ID.",
    90014: "The required field '{detail}' is missing from the credential.",
    90094: "The grant requires admin permission.",
    500112: "The reply address '{detail}' does not match the reply address provided when requesting the "
    "authorization code.",
    501481: "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    70016: "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
    70020: "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
    700025: "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
    7000218: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    70003: "The app requested an unsupported grant type '{detail}'.",
}


def aadsts(
    error: str, number: int, now: datetime, detail: str = "", *, status: int = 400, suberror: str = ""
) -> ApiError:
    """Return the identity platform's refusal.

    Args:
        error: OAuth error, e.g. ``invalid_grant``.
        number: AADSTS number.
        now: Simulated time for the body's timestamp.
        detail: Goes into the sentence.
        status: HTTP status.
        suberror: Extra hint that some refusals carry.
    """
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
    sentence = sentence_of(number, detail)
    body = {
        "error": error,
        "error_description": f"{sentence} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    if suberror:
        body["suberror"] = suberror
    return ApiError(Reply(status, body, {"cache-control": "no-store"}))


def sentence_of(number: int, detail: str = "") -> str:
    """Return the AADSTS sentence of a number."""
    return f"AADSTS{number}: {DESCRIPTIONS.get(number, 'The request was refused.').format(detail=detail)}"


_CODES = {
    400: "BadRequest",
    401: "InvalidAuthenticationToken",
    403: "ErrorAccessDenied",
    404: "ErrorItemNotFound",
    405: "methodNotAllowed",
    409: "Conflict",
    410: "syncStateNotFound",
    412: "ErrorIrresolvableConflict",
    423: "resourceLocked",
    429: "ApplicationThrottled",
    500: "generalException",
    501: "notImplemented",
    502: "BadGateway",
    503: "serviceNotAvailable",
    504: "gatewayTimeout",
    509: "activityLimitReached",
}


def graph_reply(status: int, code: str = "", message: str = "", *, retry_after: int | None = None) -> Reply:
    """Return Graph's error object as an answer."""
    code = code or _CODES.get(status, "generalException")
    request_id = str(uuid.uuid4())
    error = {
        "code": code,
        "message": message or f"The simulator answers {code}.",
        "innerError": {"date": "2026-11-21T03:00:00", "request-id": request_id, "client-request-id": request_id},
    }
    headers = {"request-id": request_id}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return Reply(status, {"error": error}, headers)


def graph_error(status: int, code: str = "", message: str = "") -> ApiError:
    """Return Graph's error object as an exception."""
    return ApiError(graph_reply(status, code, message))
