"""How a provider's answer about a subscription is understood: one table for both providers.

Statuses and codes: Graph's error resource (`error.code`), Google's error model (`error.errors[0].reason`).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from services.ingest.errors import (
    InstallationMisconfigured,
    MailboxUnavailable,
    PermissionMissing,
    ProviderThrottled,
    ProviderUnavailable,
    SubscriptionRefused,
)
from services.meshkit.errors import MeshError

MAX_DETAIL_CHARACTERS = 300
MAX_RETRY_AFTER_SECONDS = 3600.0
PASSING_STATUSES = frozenset({408, 425, 500, 502, 503, 504, 509})
THROTTLED_REASONS = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "ApplicationThrottled"}
)
FORBIDDEN = 403
HANDSHAKE_FAILED = "Subscription validation request"
TOO_MANY = "the mailbox has as many subscriptions as it may have, over all apps: remove stale ones"
ADVICE = {
    "ErrorAccessDenied": "grant the app the permission Mail.Read, and check the organisation's policies",
    "Authorization_RequestDenied": "grant the app the permission Mail.Read, and check the organisation's policies",
    "insufficientPermissions": "connect the account again and leave every box ticked",
    "ErrorItemNotFound": "there is no such folder",
    "invalidArgument": "check the label ids",
    "Conflict": "another installation watches the same folder for the same app",
}
NO_ADVICE = "see the provider's documentation of this code"
NO_MAILBOX_CODES = frozenset({"MailboxNotEnabledForRESTAPI", "MailboxNotSupportedForRESTAPI", "failedPrecondition"})


class TokenRejectedError(Exception):
    """The provider refused a token that had not expired (401)."""


class GoneError(ProviderUnavailable):
    """The provider does not know it (404). Where nobody expects that, it is a passing fault."""


class ConflictError(ProviderUnavailable):
    """The provider has one for the same already (409). Where nobody expects that, it is a passing fault."""


def raise_for(provider: str, response: httpx.Response) -> None:
    """Raises what an answer means, or returns when it is a success.

    Args:
        provider: "ms365" or "googlews".
        response: The answer, read.

    Raises:
        TokenRejectedError: 401.
        GoneError: 404 or 410.
        ConflictError: 409.
        ProviderThrottled: 429, or a 403 that says so.
        ProviderUnavailable: A passing fault.
        MailboxUnavailable: The account has no mailbox that the API reaches.
        InstallationMisconfigured: The provider cannot use this installation's topic.
        PermissionMissing: 403.
        SubscriptionRefused: Anything else that repeating does not change.
    """
    if response.is_success:
        return
    code, message = _error_of(response)
    match response.status_code:
        case 401:
            raise TokenRejectedError
        case 429:
            raise throttled(provider, response)
        case 403 if code in THROTTLED_REASONS:
            raise throttled(provider, response)
        case _ if code in NO_MAILBOX_CODES:
            raise MailboxUnavailable(_about(provider, code), metadata={"detail": code})
        case 404 | 410:
            raise GoneError
        case 409:
            raise ConflictError
        case status if status in PASSING_STATUSES:
            raise ProviderUnavailable(metadata={"provider": provider}, retry_after=retry_after(response.headers))
        case 400 if message.startswith(HANDSHAKE_FAILED):
            raise unvalidated(provider, response)
    raise _refused(provider, response.status_code, code, message)


def throttled(provider: str, response: httpx.Response) -> ProviderThrottled:
    """Makes the error for a provider that asks to slow down."""
    return ProviderThrottled(metadata={"provider": provider}, retry_after=retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Reads `Retry-After` in seconds (RFC 9110, section 10.2.3), an hour at most; None when it says nothing usable."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return timedelta(seconds=min(seconds, MAX_RETRY_AFTER_SECONDS)) if seconds >= 0 else None


def no_such_folder() -> SubscriptionRefused:
    """Makes the error for a folder that Microsoft does not know."""
    code = "ErrorItemNotFound"
    return SubscriptionRefused(
        _about("ms365", code), subject="folder_id", metadata={"provider": "ms365", "detail": code}
    )


def taken() -> SubscriptionRefused:
    """Makes the error for a subscription that is in the way and not ours to remove."""
    return SubscriptionRefused(
        _about("ms365", "Conflict"), subject="ms365", metadata={"provider": "ms365", "detail": "Conflict"}
    )


def unreachable(provider: str) -> ProviderUnavailable:
    """Makes the error for a provider that gave no answer."""
    return ProviderUnavailable("The provider did not answer.", metadata={"provider": provider})


def unvalidated(provider: str, response: httpx.Response) -> ProviderUnavailable:
    """Makes the error for a provider whose trial call of our edge failed. An edge under load may be the reason."""
    return ProviderUnavailable(
        "The provider's trial call of our address failed: check that MAILMESH_PUBLIC_URL reaches the edge.",
        metadata={"provider": provider, "detail": "MAILMESH_PUBLIC_URL"},
        retry_after=retry_after(response.headers),
    )


def _refused(provider: str, status: int, code: str, message: str) -> MeshError:
    metadata = {"provider": provider, "detail": code}
    if provider == "googlews" and "topic" in message.lower():
        return InstallationMisconfigured(
            "Google refuses the Pub/Sub topic: check its name, its project and that Gmail may publish to it.",
            subject=provider,
            metadata=metadata,
        )
    if provider == "ms365" and status == FORBIDDEN and "limit" in message.lower():
        # A used-up quota comes as the same 403 as a missing permission; only the sentence tells.
        return SubscriptionRefused(_about(provider, code, TOO_MANY), subject=provider, metadata=metadata)
    kind = PermissionMissing if status == FORBIDDEN else SubscriptionRefused
    return kind(_about(provider, code), subject=provider, metadata=metadata)


def _about(provider: str, code: str, advice: str = "") -> str:
    name = {"ms365": "Microsoft", "googlews": "Google"}.get(provider, provider)
    return f"{name} refuses it ({code}): {advice or ADVICE.get(code, NO_ADVICE)}."


def _error_of(response: httpx.Response) -> tuple[str, str]:
    """The machine word and the sentence of an error; both may be empty. Never trusted further than a log line."""
    try:
        document: Any = response.json()
    except ValueError:
        return f"http_{response.status_code}", ""
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return f"http_{response.status_code}", ""
    return _code_of(error) or f"http_{response.status_code}", str(error.get("message", ""))[:MAX_DETAIL_CHARACTERS]


def _code_of(error: dict[str, Any]) -> str:
    errors = error.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict) and isinstance(errors[0].get("reason"), str):
        return str(errors[0]["reason"])[:100]
    code = error.get("code")
    return code[:100] if isinstance(code, str) else ""
