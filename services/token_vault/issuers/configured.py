"""The issuers of the providers that the settings configure."""

from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.google import PROVIDER as GOOGLE
from services.token_vault.issuers.google import GoogleIssuer, GoogleSettings
from services.token_vault.issuers.http import LibraryHttp, ProviderApi, trust
from services.token_vault.issuers.issuer import AppIssuer, Issuer
from services.token_vault.issuers.microsoft import MicrosoftIssuer
from services.token_vault.issuers.microsoft_client import PROVIDER as MICROSOFT
from services.token_vault.issuers.microsoft_client import MicrosoftSettings
from services.token_vault.settings import VaultSettings


def configured_issuers(settings: VaultSettings) -> dict[str, Issuer]:
    """Make the issuers of the configured providers.

    Raises:
        SettingsError: A client id without its secret, or a secret without its client id.
    """
    issuers: dict[str, Issuer] = {}
    if _is_configured("MS365", settings.ms365_client_id, settings.ms365_client_secret):
        issuers[MICROSOFT] = MicrosoftIssuer(_microsoft(settings), *_transports(settings, MICROSOFT))
    if _is_configured("GOOGLEWS", settings.google_client_id, settings.google_client_secret):
        issuers[GOOGLE] = GoogleIssuer(_google(settings), *_transports(settings, GOOGLE))
    return issuers


def app_issuers(issuers: dict[str, Issuer]) -> dict[str, AppIssuer]:
    """Return the app's own access to organisations, at the providers that have one."""
    return {name: issuer.app for name, issuer in issuers.items() if isinstance(issuer, MicrosoftIssuer)}


def _is_configured(name: str, client_id: str, client_secret: Secret | None) -> bool:
    if bool(client_id) != (client_secret is not None):
        raise SettingsError(
            [f"MAILMESH_{name}_CLIENT_ID and MAILMESH_{name}_CLIENT_SECRET go together; one is not set."]
        )
    return bool(client_id)


def _transports(settings: VaultSettings, provider: str) -> tuple[BlockingPool, LibraryHttp, ProviderApi]:
    context, seconds = trust(settings.provider_ca), settings.provider_timeout_seconds
    return (
        # Longer than one request: setting up and exchanging take two.
        BlockingPool(provider, settings.provider_threads, seconds * 2),
        LibraryHttp(provider, context, seconds),
        ProviderApi(provider, context, seconds),
    )


def _microsoft(settings: VaultSettings) -> MicrosoftSettings:
    assert settings.ms365_client_secret is not None  # noqa: S101 - the provider is configured
    return MicrosoftSettings(
        authority=settings.ms365_authority,
        graph_url=settings.ms365_graph_url,
        client_id=settings.ms365_client_id,
        client_secret=settings.ms365_client_secret,
        scopes=settings.ms365_scopes,
        redirect_uri=settings.ms365_redirect_uri or f"{settings.public_url}/auth/oauth/{MICROSOFT}/callback",
    )


def _google(settings: VaultSettings) -> GoogleSettings:
    assert settings.google_client_secret is not None  # noqa: S101 - the provider is configured
    return GoogleSettings(
        auth_url=settings.google_auth_url,
        token_url=settings.google_token_url,
        revoke_url=settings.google_revoke_url,
        certs_url=settings.google_certs_url,
        userinfo_url=settings.google_userinfo_url,
        gmail_url=settings.google_gmail_url,
        issuer=settings.google_issuer,
        client_id=settings.google_client_id,
        client_secret=settings.google_client_secret,
        scopes=settings.google_scopes,
        redirect_uri=settings.google_redirect_uri or f"{settings.public_url}/auth/oauth/{GOOGLE}/callback",
    )
