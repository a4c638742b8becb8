"""Microsoft's identity platform, through msal, and Graph's `/me`."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.meshkit.secret import Secret
from services.providers.abilities import plain_scope, shared_scopes
from services.providers.failures import error_words
from services.token_vault.errors import MailboxUnavailable, ProviderUnavailable, RefreshTokenMissing
from services.token_vault.issuers.answers import raise_for
from services.token_vault.issuers.app_keys import AppKeys
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.http import LibraryHttp, ProviderApi
from services.token_vault.issuers.id_tokens import Expected, published_keys, verified_claims
from services.token_vault.issuers.issuer import Account, Begun, Grant, Identity, TokenResponse
from services.token_vault.issuers.microsoft_app import MicrosoftApp
from services.token_vault.issuers.microsoft_client import PROVIDER, MicrosoftClient, MicrosoftSettings, guarded

_RESERVED = frozenset({"openid", "profile", "offline_access"})
_NOT_LISTED = _RESERVED | {"email"}
_NOT_FOUND = 404


class MicrosoftIssuer:
    """Microsoft 365.

    Args:
        settings: The app registration.
        keys: Its client certificates.
        pool: Threads for msal.
        http: Transport of msal.
        api: For Graph and the public keys.
    """

    provider = PROVIDER

    def __init__(
        self, settings: MicrosoftSettings, keys: AppKeys, pool: BlockingPool, http: LibraryHttp, api: ProviderApi
    ) -> None:
        self._settings = settings
        self._client = MicrosoftClient(settings, keys, pool, http)
        self._pool = pool
        self._http = http
        self._api = api
        self._discovered: dict[str, Any] = {}
        self._keys = published_keys(api, self._keys_url)

    @property
    def app(self) -> MicrosoftApp:
        """The app's own access to organisations that admit it."""
        return MicrosoftApp(self._settings, self._client, self._api)

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        """The scopes that every tenant must have granted, less the protocol's own, which answers do not list."""
        return tuple(scope for scope in self._settings.scopes if scope not in _NOT_LISTED)

    def missing_scopes(self, granted: Iterable[str], needed: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return the scopes that were not granted. Graph's scopes are spelled with and without its address."""
        have = {plain_scope(PROVIDER, scope) for scope in granted}
        wanted = self.needed_scopes if needed is None else tuple(needed)
        return tuple(scope for scope in wanted if scope not in _NOT_LISTED and plain_scope(PROVIDER, scope) not in have)

    async def begin(self, state: Secret, login_hint: str, scopes: Iterable[str]) -> Begun:
        """Prepare the request: state, PKCE and nonce by msal."""
        own = tuple(scopes)
        asked = self._asked_scopes((*own, *(shared_scopes(PROVIDER, own) if self._settings.asks_for_shared else ())))
        flow: dict[str, Any] = await self._client.prepare(
            self._settings.authority,
            lambda app: app.initiate_auth_code_flow(
                asked,
                redirect_uri=self._settings.redirect_uri,
                state=state.reveal(),
                prompt="select_account",
                login_hint=login_hint or None,
            ),
        )
        url = flow.pop("auth_uri")
        return Begun(url, Secret(json.dumps(flow)))

    async def exchange(self, kept: Secret, state: Secret, code: Secret) -> Grant:
        """Exchange a code, and verify the id token."""
        flow: dict[str, Any] = json.loads(kept.reveal())
        nonce = hashlib.sha256(flow["nonce"].encode("ascii")).hexdigest()
        answer = {"code": code.reveal(), "state": state.reveal()}
        result = await self._with_app(lambda app: app.acquire_token_by_auth_code_flow(flow, answer))
        tokens = self._tokens(result)
        if tokens.refresh_token is None:
            raise RefreshTokenMissing(metadata={"provider": PROVIDER})
        return Grant(tokens, await self._identity(result, nonce))

    async def refresh(self, refresh_token: Secret, scopes: Iterable[str]) -> TokenResponse:
        """Get a new access token, and a new refresh token with it."""
        asked = self._asked_scopes(scopes)
        return self._tokens(
            await self._with_app(lambda app: app.acquire_token_by_refresh_token(refresh_token.reveal(), asked))
        )

    async def who_is(self, access_token: Secret) -> Account:
        """Ask Graph: `mail`, else `userPrincipalName`."""
        url = f"{self._settings.graph_url}/me?$select=id,displayName,mail,userPrincipalName"
        answer = await self._api.get(url, access_token)
        raise_for(PROVIDER, answer.status, answer.document)
        me = answer.document
        if not isinstance(me.get("id"), str):
            raise ProviderUnavailable(metadata={"provider": PROVIDER})
        address = str(me.get("mail") or me.get("userPrincipalName") or "").lower()
        return Account(me["id"], address, str(me.get("displayName") or ""))

    async def check_mailbox(self, access_token: Secret) -> None:
        """Read the inbox's folder."""
        answer = await self._api.get(f"{self._settings.graph_url}/me/mailFolders/inbox?$select=id", access_token)
        if answer.status == _NOT_FOUND:
            raise MailboxUnavailable(metadata={"detail": next(iter(error_words(answer.document)), "404")})
        raise_for(PROVIDER, answer.status, answer.document)

    async def revoke(self, refresh_token: Secret) -> bool:
        """Return False: an app cannot revoke its own delegated grant here; the user or an administrator removes it."""
        del refresh_token
        return False

    async def close(self) -> None:
        """Close connections and threads."""
        self._pool.close()
        await self._api.close()

    def _asked_scopes(self, more: Iterable[str]) -> list[str]:
        # msal adds the reserved ones by itself, and refuses them as an argument.
        # The settings come last, so that their spelling wins: in a national cloud a scope may name another resource.
        asked = {plain_scope(PROVIDER, scope): scope for scope in (*more, *self._settings.scopes)}
        return [scope for scope in asked.values() if scope not in _RESERVED]

    async def _with_app(self, use: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return await self._client.ask(self._settings.authority, use)

    def _tokens(self, result: Mapping[str, Any]) -> TokenResponse:
        access, refresh = result.get("access_token"), result.get("refresh_token")
        if not isinstance(access, str) or not access:
            raise ProviderUnavailable("The provider's answer holds no token.", metadata={"provider": PROVIDER})
        return TokenResponse(
            Secret(access),
            Secret(refresh) if isinstance(refresh, str) and refresh else None,
            tuple(sorted(str(result.get("scope") or "").split())),
            datetime.now(UTC) + timedelta(seconds=int(result.get("expires_in") or 0)),
        )

    async def _identity(self, result: Mapping[str, Any], nonce: str) -> Identity:
        discovered = await self._discovery()
        template = str(discovered.get("issuer", ""))
        expected = Expected(
            self._settings.client_id,
            lambda claims: claims.get("iss") == template.replace("{tenantid}", str(claims.get("tid"))),
            nonce,
            ("tid", "oid"),
        )
        claims = await verified_claims(self._keys, str(result.get("id_token", "")), expected, PROVIDER)
        tid, oid = str(claims["tid"]).lower(), str(claims["oid"]).lower()
        return Identity(f"{tid}.{oid}", tid, oid)

    async def _keys_url(self) -> str:
        return str((await self._discovery()).get("jwks_uri", ""))

    async def _discovery(self) -> dict[str, Any]:
        url = f"{self._settings.authority}/v2.0/.well-known/openid-configuration"
        response = await self._pool.run(lambda: self._http.get(url))
        found: dict[str, Any] = guarded(response.json)
        return found
