"""Error codes in a provider's redirect back to us: those of RFC 6749, section 4.1.2.1, and the providers' own."""

import re

import structlog

from services.meshkit.errors import MeshError
from services.token_vault.accounts.errors import AdminConsentNeeded, ConsentDenied
from services.token_vault.accounts.flow_secrets import invalid
from services.token_vault.errors import InstallationMisconfigured, ProviderUnavailable

logger = structlog.get_logger(__name__)

_PASSING = frozenset({"server_error", "temporarily_unavailable"})
_DENIED = frozenset({"access_denied", "consent_required", "interaction_required", "login_required"})
_ADMIN = frozenset({"admin_policy_enforced", "admin_consent_required", "org_internal"})
_OURS = frozenset({
    "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "unsupported_response_type",
    "redirect_uri_mismatch", "invalid_resource",
})  # fmt: skip
# Microsoft has one code for "only an administrator may consent" and "the user declined"; a number distinguishes them.
_ADMIN_NUMBER = re.compile(r"AADSTS(90093|90094|90095|900941)\b")
_NUMBER = re.compile(r"AADSTS\d{1,9}")


def refusal(provider: str, error: str, description: str, subcode: str) -> MeshError | None:
    """Make the failure that an error code stands for.

    Args:
        provider: The provider that sent it.
        error: The code; empty without an error.
        description: The provider's sentence. It is searched for a number, and never shown.
        subcode: Microsoft's more specific code.

    Returns:
        None without an error.
    """
    if not error:
        return None
    number = _NUMBER.search(description)
    logger.info(
        "provider refused",
        provider=provider[:20],
        word=error[:60],
        finer=subcode[:60],
        number=number[0] if number else "",
    )
    metadata = {"provider": provider[:20]}
    if error in _ADMIN or _ADMIN_NUMBER.search(description):
        return AdminConsentNeeded(metadata=metadata)
    if error in _DENIED:
        return ConsentDenied(metadata=metadata)
    if error in _PASSING:
        return ProviderUnavailable(metadata=metadata)
    if error in _OURS:
        return InstallationMisconfigured(metadata={**metadata, "detail": error})
    return invalid("provider error")
