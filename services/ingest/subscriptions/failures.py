"""The treatment of a provider's answer about a subscription. Its meaning comes from `services.providers`."""

from datetime import timedelta
from typing import Any, assert_never

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
from services.providers.failures import Meaning, error_words, meaning_of
from services.providers.names import COMPANIES, GOOGLEWS, MS365
from services.providers.retry_after import retry_after

MAX_DETAIL_CHARACTERS = 300
BAD_REQUEST = 400
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


class TokenRejectedError(Exception):
    """The provider refused a token that had not expired (401)."""


class GoneError(ProviderUnavailable):
    """The provider does not know it (404). Where no caller expects that, it is a passing fault."""


class ConflictError(ProviderUnavailable):
    """The provider has one for the same already (409). Where no caller expects that, it is a passing fault."""


def json_of(response: httpx.Response) -> Any:
    """Return the document of an answer.

    Raises:
        ValueError: The answer is no JSON, or is nested too deeply.
    """
    try:
        return response.json()
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def raise_for(provider: str, response: httpx.Response) -> None:
    """Raises what an answer means, or returns when it is a success.

    Args:
        provider: A name from `services.providers.names`.
        response: The answer, read.

    Raises:
        TokenRejectedError: 401.
        GoneError: 404 or 410.
        ConflictError: 409.
        ProviderThrottled: The provider asks to slow down.
        ProviderUnavailable: A passing fault, or a failed trial call of our address.
        MailboxUnavailable: The account has no mailbox that the API reaches.
        InstallationMisconfigured: The provider refuses this installation's app, or cannot use its topic.
        PermissionMissing: 403.
        SubscriptionRefused: Anything else that repeating does not change.
    """
    if response.is_success:
        return
    words, message = _error_of(response)
    code = words[0] if words else f"http_{response.status_code}"
    match meaning_of(provider, response.status_code, words):
        case Meaning.TOKEN_REJECTED:
            raise TokenRejectedError
        case Meaning.THROTTLED:
            raise throttled(provider, response)
        case Meaning.MAILBOX_UNAVAILABLE:
            raise MailboxUnavailable(_about(provider, code), metadata={"detail": code})
        case Meaning.NOT_FOUND | Meaning.CURSOR_LOST:
            raise GoneError
        case Meaning.CONFLICT:
            raise ConflictError
        case Meaning.PASSING:
            raise ProviderUnavailable(metadata={"provider": provider}, retry_after=_wait(response))
        case Meaning.APP | Meaning.FORBIDDEN as meaning:
            raise _app_refused(provider, code) if meaning is Meaning.APP else _forbidden(provider, code, message)
        case Meaning.FINAL:
            raise _refused(provider, response, code, message)
        case unmatched:
            assert_never(unmatched)


def throttled(provider: str, response: httpx.Response) -> ProviderThrottled:
    """Makes the error for a provider that asks to slow down."""
    return ProviderThrottled(metadata={"provider": provider}, retry_after=_wait(response))


def no_such_folder() -> SubscriptionRefused:
    """Makes the error for a folder that Microsoft does not know."""
    code = "ErrorItemNotFound"
    return SubscriptionRefused(_about(MS365, code), subject="folder_id", metadata={"provider": MS365, "detail": code})


def taken() -> SubscriptionRefused:
    """Makes the error for a subscription that is in the way and not ours to remove."""
    return SubscriptionRefused(
        _about(MS365, "Conflict"), subject=MS365, metadata={"provider": MS365, "detail": "Conflict"}
    )


def unreachable(provider: str) -> ProviderUnavailable:
    """Makes the error for a provider that gave no answer."""
    return ProviderUnavailable("The provider did not answer.", metadata={"provider": provider})


def unvalidated(provider: str, response: httpx.Response) -> ProviderUnavailable:
    """Makes the error for a provider whose trial call of our edge failed. An edge under load may be the reason."""
    return ProviderUnavailable(
        "The provider's trial call of our address failed: check that MAILMESH_PUBLIC_URL reaches the edge.",
        metadata={"provider": provider, "detail": "MAILMESH_PUBLIC_URL"},
        retry_after=_wait(response),
    )


def _forbidden(provider: str, code: str, message: str) -> MeshError:
    if _is_about_the_topic(provider, message):
        return _topic_refused(provider, code)
    metadata = {"provider": provider, "detail": code}
    if provider == MS365 and "limit" in message.lower():
        # A used-up quota comes as the same 403 as a missing permission; only the sentence tells.
        return SubscriptionRefused(_about(provider, code, TOO_MANY), subject=provider, metadata=metadata)
    return PermissionMissing(_about(provider, code), subject=provider, metadata=metadata)


def _refused(provider: str, response: httpx.Response, code: str, message: str) -> MeshError:
    if response.status_code == BAD_REQUEST and message.startswith(HANDSHAKE_FAILED):
        return unvalidated(provider, response)
    if _is_about_the_topic(provider, message):
        return _topic_refused(provider, code)
    metadata = {"provider": provider, "detail": code}
    return SubscriptionRefused(_about(provider, code), subject=provider, metadata=metadata)


def _is_about_the_topic(provider: str, message: str) -> bool:
    return provider == GOOGLEWS and "topic" in message.lower()


def _topic_refused(provider: str, code: str) -> InstallationMisconfigured:
    return InstallationMisconfigured(
        "Google refuses the Pub/Sub topic: check its name, its project and that Gmail may publish to it.",
        subject=provider,
        metadata={"provider": provider, "detail": code},
    )


def _app_refused(provider: str, code: str) -> InstallationMisconfigured:
    return InstallationMisconfigured(
        f"{COMPANIES.get(provider, provider)} refuses this installation's app ({code}): enable the API in the app's"
        " project, and check its settings.",
        subject=provider,
        metadata={"provider": provider, "detail": code},
    )


def _about(provider: str, code: str, advice: str = "") -> str:
    return f"{COMPANIES.get(provider, provider)} refuses it ({code}): {advice or ADVICE.get(code, NO_ADVICE)}."


def _wait(response: httpx.Response) -> timedelta | None:
    return retry_after(response.headers, _document_of(response))


def _error_of(response: httpx.Response) -> tuple[list[str], str]:
    """Read the machine words and the sentence of an error; both may be empty. Neither is trusted beyond a log line."""
    document = _document_of(response)
    error = document.get("error")
    message = error.get("message", "") if isinstance(error, dict) else ""
    return error_words(document), str(message)[:MAX_DETAIL_CHARACTERS]


def _document_of(response: httpx.Response) -> dict[str, Any]:
    try:
        document = json_of(response)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
