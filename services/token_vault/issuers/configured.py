"""The issuers of the providers that the settings configure."""

from dataclasses import dataclass

from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError
from services.token_vault.issuers.app_keys import AppKeys
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.google import PROVIDER as GOOGLE
from services.token_vault.issuers.google import GoogleIssuer, GoogleSettings
from services.token_vault.issuers.google_app import GoogleApp, GoogleAppSettings
from services.token_vault.issuers.google_keyless import KeylessAssertions, KeylessSettings, PlatformIdentity
from services.token_vault.issuers.http import LibraryHttp, ProviderApi, trust
from services.token_vault.issuers.issuer import AppIssuer, ConsentingApp, Issuer
from services.token_vault.issuers.microsoft import MicrosoftIssuer
from services.token_vault.issuers.microsoft_client import PROVIDER as MICROSOFT
from services.token_vault.issuers.microsoft_client import MicrosoftSettings
from services.token_vault.settings import VaultSettings


@dataclass(frozen=True)
class Providers:
    """The configured providers.

    Args:
        issuers: Persons' grants, by provider.
        consenting: The app's own access, at the providers where an administrator admits the app on a page.
        google: The app's own access at Google, which needs no OAuth client.
    """

    issuers: dict[str, Issuer]
    consenting: dict[str, ConsentingApp]
    google: GoogleApp

    @property
    def apps(self) -> dict[str, AppIssuer]:
        """The app's own access to organisations, by provider."""
        return {**self.consenting, GOOGLE: self.google}

    async def close(self) -> None:
        """Close connections and threads."""
        for issuer in self.issuers.values():
            await issuer.close()
        await self.google.close()


def check_providers(settings: VaultSettings) -> None:
    """Check the settings of the providers.

    Raises:
        SettingsError: A client id without its secret, or a secret without its client id. At Microsoft, client
            certificates may take the place of the secret. A keyless service account's address or id without the other.
    """
    _require_id("MS365", settings.ms365_client_id, settings.ms365_client_secret)
    _require_id("GOOGLEWS", settings.google_client_id, settings.google_client_secret)
    if settings.google_client_id and settings.google_client_secret is None:
        raise _apart("GOOGLEWS")
    if bool(settings.google_keyless_account) != bool(settings.google_keyless_client_id):
        raise SettingsError(
            ["MAILMESH_GOOGLEWS_KEYLESS_ACCOUNT and MAILMESH_GOOGLEWS_KEYLESS_CLIENT_ID go together; one is not set."]
        )


def configured_providers(settings: VaultSettings, keys: AppKeys) -> Providers:
    """Make the issuers of the configured providers.

    Args:
        settings: As `check_providers` accepts them.
        keys: The app's own keys.
    """
    issuers: dict[str, Issuer] = {}
    consenting: dict[str, ConsentingApp] = {}
    if settings.ms365_client_id:
        microsoft = MicrosoftIssuer(_microsoft(settings), keys, *_transports(settings, MICROSOFT))
        issuers[MICROSOFT], consenting[MICROSOFT] = microsoft, microsoft.app
    if settings.google_client_id:
        issuers[GOOGLE] = GoogleIssuer(_google(settings), *_transports(settings, GOOGLE))
    app = GoogleAppSettings(
        token_url=settings.google_token_url,
        userinfo_url=settings.google_userinfo_url,
        gmail_url=settings.google_gmail_url,
        calendar_url=settings.google_calendar_url,
        directory_url=settings.google_directory_url,
    )
    pool, http, api = _transports(settings, GOOGLE)
    keyless = _keyless(settings, pool, http, api)
    return Providers(issuers, consenting, GoogleApp(app, keys, pool, http, api, keyless))


def _keyless(
    settings: VaultSettings, pool: BlockingPool, http: LibraryHttp, api: ProviderApi
) -> KeylessAssertions | None:
    account = settings.google_keyless_account
    if not account:
        return None
    keyless = KeylessSettings(account, settings.google_keyless_client_id, settings.google_iam_credentials_url)
    return KeylessAssertions(keyless, PlatformIdentity(pool, http), api)


def _require_id(name: str, client_id: str, client_secret: Secret | None) -> None:
    if client_secret is not None and not client_id:
        raise _apart(name)


def _apart(name: str) -> SettingsError:
    return SettingsError([f"MAILMESH_{name}_CLIENT_ID and MAILMESH_{name}_CLIENT_SECRET go together; one is not set."])


def _transports(settings: VaultSettings, provider: str) -> tuple[BlockingPool, LibraryHttp, ProviderApi]:
    context, seconds = trust(settings.provider_ca), settings.provider_timeout_seconds
    return (
        # Longer than one request: setting up and exchanging take two.
        BlockingPool(provider, settings.provider_threads, seconds * 2),
        LibraryHttp(provider, context, seconds),
        ProviderApi(provider, context, seconds),
    )


def _microsoft(settings: VaultSettings) -> MicrosoftSettings:
    return MicrosoftSettings(
        authority=settings.ms365_authority,
        graph_url=settings.ms365_graph_url,
        client_id=settings.ms365_client_id,
        client_secret=settings.ms365_client_secret,
        scopes=settings.ms365_scopes,
        asks_for_shared=settings.ms365_shared_mailboxes,
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
