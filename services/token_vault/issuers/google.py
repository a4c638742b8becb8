"""Google's OAuth, through google-auth and google-auth-oauthlib, and its user info."""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import google.auth.exceptions
import requests
from google.oauth2 import reauth
from google_auth_oauthlib.flow import Flow
from oauthlib.oauth2 import MissingTokenError, OAuth2Error

from services.meshkit.secret import Secret
from services.providers.names import GOOGLEWS
from services.token_vault.errors import (
    InstallationMisconfigured,
    MailboxUnavailable,
    ProviderUnavailable,
    RefreshTokenMissing,
)
from services.token_vault.issuers.answers import raise_for
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.google_client import library_request
from services.token_vault.issuers.http import LibraryHttp, ProviderApi
from services.token_vault.issuers.id_tokens import Expected, published_keys, verified_claims
from services.token_vault.issuers.issuer import (
    Account,
    Begun,
    Grant,
    GrantError,
    Identity,
    PassingRefusal,
    TokenResponse,
)
from services.token_vault.issuers.refusals import Kind, meaning_of

PROVIDER = GOOGLEWS
_LONG_NAMES = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
_OK, _UNAUTHORIZED, _FORBIDDEN, _BAD_REQUEST = 200, 401, 403, 400
_DEFAULT_LIFE_SECONDS = 3600

Result = TypeVar("Result")


@dataclass(frozen=True)
class GoogleSettings:
    """The OAuth client, and Google's addresses.

    Args:
        auth_url: The consent page.
        token_url: The token endpoint.
        revoke_url: The revocation endpoint.
        certs_url: The public keys, as a JSON web key set.
        userinfo_url: The identity of an account.
        gmail_url: The Gmail API with its version.
        issuer: The issuer in id tokens, with its scheme.
        client_id: OAuth client id.
        client_secret: Its secret.
        scopes: Scopes requested of every account.
        redirect_uri: The address to which the browser returns.
    """

    auth_url: str
    token_url: str
    revoke_url: str
    certs_url: str
    userinfo_url: str
    gmail_url: str
    issuer: str
    client_id: str
    client_secret: Secret
    scopes: tuple[str, ...]
    redirect_uri: str


class GoogleIssuer:
    """Google Workspace.

    Args:
        settings: The OAuth client.
        pool: Threads for Google's libraries.
        http: Transport of these libraries.
        api: For user info, the public keys and revocation.
    """

    provider = PROVIDER

    def __init__(self, settings: GoogleSettings, pool: BlockingPool, http: LibraryHttp, api: ProviderApi) -> None:
        self._settings = settings
        self._pool = pool
        self._http = http
        self._api = api
        self._keys = published_keys(api, self._keys_url)

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        """The scopes that every tenant must have granted, whatever its abilities are."""
        return self._settings.scopes

    def missing_scopes(self, granted: Iterable[str], needed: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return the scopes that were not granted: users can untick scopes. `email` has a long name in answers."""
        have = {_long(scope) for scope in granted}
        wanted = self.needed_scopes if needed is None else tuple(needed)
        return tuple(scope for scope in wanted if _long(scope) not in have)

    async def begin(self, state: Secret, login_hint: str, scopes: Iterable[str]) -> Begun:
        """Prepare the request. `prompt=consent` gets a refresh token also for an account that consented before.

        `include_granted_scopes` makes the consent incremental: the token has the scopes of earlier consents too.
        """
        asked = dict.fromkeys((*self._settings.scopes, *scopes))
        flow, nonce = self._flow(asked), secrets.token_urlsafe(24)
        url, _ = flow.authorization_url(
            access_type="offline",
            prompt="consent",
            include_granted_scopes="true",
            state=state.reveal(),
            nonce=nonce,
            **({"login_hint": login_hint} if login_hint else {}),
        )
        kept = {"code_verifier": flow.code_verifier, "nonce": nonce, "redirect_uri": self._settings.redirect_uri}
        return Begun(url, Secret(json.dumps(kept)))

    async def exchange(self, kept: Secret, state: Secret, code: Secret) -> Grant:
        """Exchange a code, and verify the id token."""
        del state  # the caller has compared it, and the exchange does not need it
        request: dict[str, str] = json.loads(kept.reveal())
        answer = await self._pool.run(lambda: _guarded(lambda: self._fetched(request, code)))
        tokens = _tokens(answer, answer.get("access_token"), answer.get("expires_in"))
        if tokens.refresh_token is None:
            raise RefreshTokenMissing(metadata={"provider": PROVIDER})
        return Grant(tokens, await self._identity(str(answer.get("id_token", "")), request["nonce"]))

    async def refresh(self, refresh_token: Secret, scopes: Iterable[str]) -> TokenResponse:
        """Get a new access token. The stored refresh token stays valid: most answers hold none."""
        del scopes  # without a request for scopes, the token has all that the account has granted
        return await self._pool.run(lambda: _guarded(lambda: self._refreshed(refresh_token)))

    async def who_is(self, access_token: Secret) -> Account:
        """Ask the user info endpoint."""
        answer = await self._api.get(self._settings.userinfo_url, access_token)
        raise_for(PROVIDER, answer.status, answer.document)
        who = answer.document
        if not isinstance(who.get("sub"), str):
            raise ProviderUnavailable(metadata={"provider": PROVIDER})
        return Account(who["sub"], str(who.get("email") or "").lower(), str(who.get("name") or ""))

    async def check_mailbox(self, access_token: Secret) -> None:
        """Read the mailbox's profile."""
        answer = await self._api.get(f"{self._settings.gmail_url}/users/me/profile", access_token)
        if answer.status == _BAD_REQUEST and "Mail service not enabled" in str(answer.document):
            raise MailboxUnavailable(metadata={"detail": "failedPrecondition"})
        raise_for(PROVIDER, answer.status, answer.document)

    async def revoke(self, refresh_token: Secret) -> bool:
        """Revoke the grant. A token that Google no longer knows is revoked already."""
        answer = await self._api.post_form(self._settings.revoke_url, {"token": refresh_token.reveal()})
        if answer.status not in (_OK, _BAD_REQUEST):
            raise ProviderUnavailable(f"The provider answered {answer.status}.", metadata={"provider": PROVIDER})
        return True

    async def close(self) -> None:
        """Close connections and threads."""
        self._pool.close()
        await self._api.close()

    def _flow(self, scopes: Iterable[str] | None, verifier: str | None = None) -> Flow:
        client = {
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.reveal(),
            "auth_uri": self._settings.auth_url,
            "token_uri": self._settings.token_url,
        }
        flow = Flow.from_client_config(
            {"web": client},
            list(scopes) if scopes is not None else None,
            redirect_uri=self._settings.redirect_uri,
            code_verifier=verifier,
        )
        self._http.prepared(flow.oauth2session)
        # Without this hook a server's failure looks like an answer without a token.
        flow.oauth2session.register_compliance_hook("access_token_response", self._http.checked)
        return flow

    def _fetched(self, request: Mapping[str, str], code: Secret) -> dict[str, Any]:
        # No scopes here: with any, oauthlib raises when the answer has others, and we compare them ourselves.
        flow = self._flow(None, request["code_verifier"])
        found = flow.fetch_token(code=code.reveal(), include_client_id=True)
        return dict(found)

    def _refreshed(self, refresh_token: Secret) -> TokenResponse:
        settings = self._settings
        access, refresh, expires_at, document, _ = reauth.refresh_grant(  # type: ignore[no-untyped-call]
            library_request(self._http),
            settings.token_url,
            refresh_token.reveal(),
            settings.client_id,
            settings.client_secret.reveal(),
        )
        rotated = {} if refresh == refresh_token.reveal() else {"refresh_token": refresh}
        seconds = None if expires_at is None else document.get("expires_in")
        return _tokens({**document, "refresh_token": None, **rotated}, access, seconds)

    async def _identity(self, id_token: str, nonce: str) -> Identity:
        issuers = {self._settings.issuer, self._settings.issuer.removeprefix("https://")}
        expected = Expected(self._settings.client_id, lambda claims: claims.get("iss") in issuers, nonce)
        claims = await verified_claims(self._keys, id_token, expected, PROVIDER)
        sub = str(claims["sub"])
        return Identity(sub, str(claims.get("hd") or ""), sub)

    async def _keys_url(self) -> str:
        return self._settings.certs_url


def _guarded(use: Callable[[], Result]) -> Result:
    """Translate the libraries' exceptions. Their messages may quote the answer, so none is passed on."""
    try:
        return use()
    except google.auth.exceptions.RefreshError as exc:
        raise _refresh_failure(exc) from exc
    except MissingTokenError as exc:  # the library's word for an answer without a token
        raise ProviderUnavailable(metadata={"provider": PROVIDER}) from exc
    except OAuth2Error as exc:
        raise _failure(str(exc.error or ""), "") from exc
    except (requests.RequestException, google.auth.exceptions.GoogleAuthError) as exc:
        raise ProviderUnavailable(metadata={"provider": PROVIDER}) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ProviderUnavailable("The provider's answer is unreadable.", metadata={"provider": PROVIDER}) from exc


def _refresh_failure(error: google.auth.exceptions.RefreshError) -> Exception:
    document = next((part for part in error.args if isinstance(part, dict)), None)
    if document is not None:
        return _failure(str(document.get("error", "")), str(document.get("error_subtype", "")))
    if "Reauthentication" in str(error.args[:1]):
        return _failure("invalid_rapt", "")
    return ProviderUnavailable(metadata={"provider": PROVIDER})


def _failure(error: str, subtype: str) -> Exception:
    refusal, named = meaning_of(PROVIDER, error, subtype), f"{error[:60]} {subtype[:60]}".strip()
    if not error or refusal.kind is Kind.OUTAGE:
        return ProviderUnavailable(metadata={"provider": PROVIDER})
    if refusal.kind is Kind.APP:
        return InstallationMisconfigured(metadata={"provider": PROVIDER, "detail": named})
    meant = GrantError if refusal.kind is Kind.GRANT else PassingRefusal
    return meant(refusal.cause, named)


def _tokens(answer: Mapping[str, Any], access: Any, seconds: Any) -> TokenResponse:
    if not isinstance(access, str) or not access:
        raise ProviderUnavailable("The provider's answer holds no token.", metadata={"provider": PROVIDER})
    refresh, scope, now = answer.get("refresh_token"), answer.get("scope") or (), datetime.now(UTC)
    limited = answer.get("refresh_token_expires_in")
    return TokenResponse(
        Secret(access),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        tuple(sorted(scope.split() if isinstance(scope, str) else scope)),
        now + timedelta(seconds=int(seconds or _DEFAULT_LIFE_SECONDS)),
        now + timedelta(seconds=int(limited)) if limited else None,
    )


def _long(scope: str) -> str:
    return _LONG_NAMES.get(scope, scope)
