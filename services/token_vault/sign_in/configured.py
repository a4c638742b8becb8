"""The sign-in that the settings configure."""

from dataclasses import dataclass
from datetime import timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.token_vault.api_access.sessions import Sessions
from services.token_vault.issuers.http import ProviderApi, trust
from services.token_vault.settings import VaultSettings
from services.token_vault.sign_in.agents import AgentTokens
from services.token_vault.sign_in.people import People
from services.token_vault.sign_in.protected_resource import ProtectedResource
from services.token_vault.sign_in.provider import NAME, IdentityProvider, Registration
from services.token_vault.sign_in.rights import GroupRights, require_complete

_RETURN = "/auth/oauth/signed-in"


@dataclass(frozen=True)
class SignIn:
    """A configured sign-in.

    Args:
        provider: The identity provider.
        people: Signs people in.
        name: The provider's name for people.
        issuer: The provider's issuer.
        agents: Finds the keys of agents' access tokens.
        resource: The metadata of `/mcp`.
    """

    provider: IdentityProvider
    people: People
    name: str
    issuer: str
    agents: AgentTokens
    resource: ProtectedResource


def configured_sign_in(settings: VaultSettings, pool: db.Pool, sessions: Sessions, clock: Clock) -> SignIn | None:
    """Make the sign-in, or None when the settings name no issuer.

    Raises:
        SettingsError: A setting is missing or malformed.
    """
    if not settings.sign_in_issuer:
        return None
    require_complete(settings, settings.public_url)
    assert settings.sign_in_client_secret is not None  # noqa: S101 - checked on the line above
    registration = Registration(
        issuer=settings.sign_in_issuer,
        client_id=settings.sign_in_client_id,
        client_secret=settings.sign_in_client_secret,
        redirect_uri=settings.public_url + _RETURN,
        scopes=settings.sign_in_scopes,
        groups_claim=settings.sign_in_groups_claim,
    )
    api = ProviderApi(NAME, trust(settings.provider_ca), settings.provider_timeout_seconds)
    people = People(pool, sessions, GroupRights.read(settings.sign_in_groups), clock)
    provider = IdentityProvider(registration, api)
    resource = ProtectedResource(settings.public_url, registration.issuer, settings.sign_in_agent_scopes)
    kept = timedelta(seconds=settings.api_key_cache_seconds)
    agents = AgentTokens(provider, people, settings.sign_in_audience or resource.url, clock, kept)
    return SignIn(provider, people, settings.sign_in_name, registration.issuer, agents, resource)
