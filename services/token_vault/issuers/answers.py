"""The failures of the providers' APIs about one account. Their meaning comes from `services.providers`."""

from collections.abc import Mapping
from typing import Any

from services.meshkit.errors import MeshError
from services.providers.failures import Meaning, error_words, meaning_of
from services.token_vault.errors import (
    InstallationMisconfigured,
    MailboxUnavailable,
    ProviderThrottled,
    ProviderUnavailable,
    ScopeNotGranted,
)
from services.token_vault.issuers.issuer import TOKEN_REJECTED, GrantError

_OK = 200


def raise_for(provider: str, status: int, document: Mapping[str, Any]) -> None:
    """Raise the failure that an answer means, or return when it is a success.

    Args:
        provider: A name from `services.providers.names`.
        status: The HTTP status.
        document: The answer's JSON object; empty for any other body.

    Raises:
        GrantError: The access token is refused.
        MailboxUnavailable: The account has no mailbox that the API reaches.
        ProviderThrottled: The provider asks to slow down.
        InstallationMisconfigured: The provider refuses this installation's app: no tenant is at fault.
        ScopeNotGranted: A permission is missing.
        ProviderUnavailable: Any other failure.
    """
    if status == _OK:
        return
    words = error_words(document)
    raise _failure(provider, status, meaning_of(provider, status, words), words[0] if words else str(status))


def _failure(provider: str, status: int, meaning: Meaning, word: str) -> MeshError | GrantError:
    match meaning:
        case Meaning.TOKEN_REJECTED:
            return GrantError(TOKEN_REJECTED, word)
        case Meaning.MAILBOX_UNAVAILABLE:
            return MailboxUnavailable(metadata={"detail": word})
        case Meaning.THROTTLED:
            return ProviderThrottled(metadata={"provider": provider})
        case Meaning.APP:
            return InstallationMisconfigured(metadata={"provider": provider, "detail": word})
        case Meaning.FORBIDDEN:
            return ScopeNotGranted(metadata={"detail": word})
        case _:
            return ProviderUnavailable(f"The provider answered {status}.", metadata={"provider": provider})
