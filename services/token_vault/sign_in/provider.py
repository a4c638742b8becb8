"""The identity provider: discovery, its sign-in page, the exchange of a code, the id token, and access tokens."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from oauthlib.oauth2 import WebApplicationClient

from services.meshkit.secret import Secret
from services.meshkit.text import is_storable, plain_name
from services.token_vault.accounts.errors import FlowStateInvalid
from services.token_vault.errors import InstallationMisconfigured, ProviderUnavailable
from services.token_vault.issuers.http import ProviderApi
from services.token_vault.issuers.id_tokens import Expected, published_keys, unproven, verified_claims
from services.token_vault.sign_in.browser_secrets import BrowserSecrets

NAME = "sign-in"
"""The provider's name in metadata of failures."""
_CONFIGURATION = "/.well-known/openid-configuration"
_KEPT_SECONDS = 3600.0
_AGAIN_SECONDS = 5.0
_NAME_CHARACTERS = 150
_MOST_GROUPS = 2000
_SUBJECT_CHARACTERS = 255  # OpenID Connect Core 1.0, section 2
_URL = re.compile("https://[!-~]{1,2000}")
_CLAIM_NAMES = "_claim_names"


@dataclass(frozen=True)
class Person:
    """A person, as a token proves.

    Args:
        issuer: The provider's issuer.
        subject: The person's id there, which never changes.
        name: The person's address or name, for people.
        groups: The person's groups.
        issued_at: The time of the token.
        has_too_many_groups: Whether the provider left the groups out because they are too many.
    """

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]
    issued_at: datetime
    has_too_many_groups: bool = False


@dataclass(frozen=True)
class Registration:
    """How mailmesh is registered at the provider.

    Args:
        issuer: The provider's issuer, an https address.
        client_id: The client id.
        client_secret: The client secret.
        redirect_uri: The address to which the provider sends browsers back.
        scopes: The scopes to ask for.
        groups_claim: The claim with the person's groups.
    """

    issuer: str
    client_id: str
    client_secret: Secret = field(repr=False)
    redirect_uri: str
    scopes: tuple[str, ...]
    groups_claim: str


class IdentityProvider:
    """An OpenID provider, with the code flow, PKCE and a client secret.

    Args:
        registration: How mailmesh is registered there.
        api: The transport.
    """

    def __init__(self, registration: Registration, api: ProviderApi) -> None:
        self._at = registration
        self._api = api
        self._client = WebApplicationClient(registration.client_id)
        self._keys = published_keys(api, self._keys_url)
        self._configuration: Mapping[str, Any] = {}
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def authorization_url(self, browser: BrowserSecrets) -> str:
        """Return the address of the provider's sign-in page for a browser.

        Raises:
            ProviderUnavailable: The provider's configuration cannot be read.
            InstallationMisconfigured: It is that of another issuer, or lacks an address.
        """
        configuration = await self._configured()
        url: str = self._client.prepare_request_uri(
            configuration["authorization_endpoint"],
            redirect_uri=self._at.redirect_uri,
            scope=list(self._at.scopes),
            state=browser.state,
            nonce=browser.nonce,
            code_challenge=browser.challenge,
            code_challenge_method="S256",
        )
        return url

    async def person(self, code: str, browser: BrowserSecrets) -> Person:
        """Exchange a code, and read the person from the verified id token.

        Raises:
            FlowStateInvalid: The provider does not accept the code: it was used, or is too old.
            InstallationMisconfigured: The provider refuses the client.
            IdentityUnproven: The id token fails a check.
            ProviderUnavailable, ProviderThrottled: The provider did not answer.
        """
        id_token = await self._exchange(code, browser)
        expected = Expected(
            audience=self._at.client_id,
            is_issuer=lambda claims: claims.get("iss") == self._at.issuer,
            nonce=browser.nonce,
        )
        return self._read(await verified_claims(self._keys, id_token, expected, NAME))

    async def bearer(self, access_token: str, audience: str) -> Person:
        """Read the person from a verified access token, which must be a JWT (RFC 9068, section 2).

        The header `typ` is not checked, since widespread providers do not set it. An id token of ours has another
        audience: the settings see to that.

        Args:
            access_token: The token.
            audience: The audience that it must name.

        Raises:
            IdentityUnproven: The token fails a check.
            ProviderUnavailable, ProviderThrottled: The provider's keys could not be fetched.
        """
        expected = Expected(audience, is_issuer=lambda claims: claims.get("iss") == self._at.issuer, nonce=None)
        return self._read(await verified_claims(self._keys, access_token, expected, NAME))

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _exchange(self, code: str, browser: BrowserSecrets) -> str:
        configuration = await self._configured()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._at.redirect_uri,
            "code_verifier": browser.verifier.reveal(),
        }
        # Without a list, a provider takes HTTP Basic (OpenID Connect Discovery 1.0, section 3).
        listed = configuration.get("token_endpoint_auth_methods_supported")
        methods = listed if listed and isinstance(listed, list) else ["client_secret_basic"]
        basic = (self._at.client_id, self._at.client_secret) if "client_secret_basic" in methods else None
        if basic is None:
            form |= {"client_id": self._at.client_id, "client_secret": self._at.client_secret.reveal()}
        answer = await self._api.post_form(configuration["token_endpoint"], form, basic)
        id_token = answer.document.get("id_token")
        if isinstance(id_token, str):
            return id_token
        if answer.document.get("error") == "invalid_grant":
            raise FlowStateInvalid(metadata={"detail": "code"})
        raise InstallationMisconfigured(metadata={"provider": NAME, "detail": _error_code(answer.document)})

    def _read(self, claims: Mapping[str, Any]) -> Person:
        subject, groups = claims.get("sub"), claims.get(self._at.groups_claim, [])
        if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_CHARACTERS or not is_storable(subject):
            raise unproven(NAME, "claims")
        listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        names = claims.get(_CLAIM_NAMES)
        return Person(
            issuer=self._at.issuer,
            subject=subject,
            name=_name(claims) or "a person without a name",
            groups=tuple(group for group in listed[:_MOST_GROUPS] if isinstance(group, str)),
            issued_at=_time(claims["iat"]),
            # Microsoft's form for a person with more groups than a token may have.
            has_too_many_groups=isinstance(names, dict) and self._at.groups_claim in names,
        )

    async def _keys_url(self) -> str:
        return str((await self._configured())["jwks_uri"])

    async def _configured(self) -> Mapping[str, Any]:
        """Return the provider's configuration, read once an hour; after a failure, once in five seconds."""
        async with self._lock:
            age = time.monotonic() - self._asked_at
            if age > _KEPT_SECONDS or (not self._configuration and age > _AGAIN_SECONDS):
                self._asked_at = time.monotonic()
                self._configuration = await self._read_configuration()
        if not self._configuration:
            raise ProviderUnavailable(metadata={"provider": NAME})
        return self._configuration

    async def _read_configuration(self) -> Mapping[str, Any]:
        answer = await self._api.get(self._at.issuer.rstrip("/") + _CONFIGURATION)
        # OpenID Connect Discovery 1.0, section 4.3: the issuer must be the very one that was asked.
        if answer.document.get("issuer") != self._at.issuer:
            raise InstallationMisconfigured(metadata={"provider": NAME, "detail": "issuer"})
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _is_address(answer.document.get(name)):
                raise InstallationMisconfigured(metadata={"provider": NAME, "detail": name})
        return answer.document


def _is_address(value: Any) -> bool:
    """Return whether a value of the configuration is an address to which a request can be sent."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        return False
    try:
        httpx.URL(value)
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0
    except (httpx.InvalidURL, ValueError):  # urlsplit refuses brackets and ports in its own way
        return False


def _time(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise unproven(NAME, "time") from exc


def _name(claims: Mapping[str, Any]) -> str:
    found = (claims.get(name) for name in ("email", "preferred_username", "name"))
    return next(
        (plain for name in found if isinstance(name, str) and (plain := plain_name(name, _NAME_CHARACTERS))), ""
    )


def _error_code(document: Mapping[str, Any]) -> str:
    """Return the error code of an answer without an id token; it is text from outside."""
    return plain_name(str(document.get("error", "no id token")), 60)
