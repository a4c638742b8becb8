"""The identity platform's token endpoint: codes and refresh tokens in, tokens out."""

import base64
import hashlib
import json
import secrets
from typing import Any

from simulator.accounts import Account, Client
from simulator.flows import client_credentials, verifies
from simulator.http import JSON, ApiError, Call, Operations, Reply
from simulator.keys import SigningKeys
from simulator.microsoft.devices import Devices
from simulator.microsoft.errors import aadsts
from simulator.microsoft.login import SHARED_TENANTS
from simulator.registrations import AssertionRefused, ClientCertificates
from simulator.state import World
from simulator.tokens import Code, Grant, Refresh, opaque

_MOST_GROUPS = 200
_OIDC = ("openid", "profile", "email", "offline_access")
_GRAPH = "https://graph.microsoft.com/"
_OWN_API = "api://"
"""The beginning of the scopes of an API that the organisation has registered itself: `api://<client id>/<name>`."""
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_NUMBERS = {"key": 700027, "signature": 700027, "time": 700024, "audience": 700023}


class TokenEndpoint:
    """Issues tokens; refresh tokens are replaced at each use and the old ones go on working."""

    def __init__(self, world: World, keys: SigningKeys, devices: Devices) -> None:
        self._world = world
        self._devices = devices
        self._keys = keys
        self._tokens = world.tokens["ms365"]

    def register(self, operations: Operations) -> None:
        """Add the endpoint to the provider's table."""
        operations.add("ms.token", "POST", "/{tenant}/oauth2/v2.0/token", self.token, is_api=False)

    def token(self, call: Call) -> Reply:
        """Answer one request."""
        form = call.form()
        client = self._client(call, form)
        grants = {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh_token,
            "client_credentials": self._by_client,
            "urn:ietf:params:oauth:grant-type:device_code": self._by_device_code,
        }
        answer = grants.get(form.get("grant_type", ""))
        if answer is None:
            raise self._refuse("unsupported_grant_type", 70003, form.get("grant_type", ""))
        return Reply(200, answer(call, form, client), {"cache-control": "no-store"})

    def issue(self, account: Account, client_id: str, scopes: tuple[str, ...], *, nonce: str = "") -> JSON:
        """Return the token response for an account; also used by the control API."""
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": " ".join(scope for scope in scopes if scope != "offline_access"),
            "expires_in": self._world.knobs.access_token_seconds,
            "ext_expires_in": self._world.knobs.access_token_seconds,
            "access_token": self._access(account, client_id, scopes),
        }
        if "offline_access" in scopes:
            answer["refresh_token"] = self._refresh(account, client_id, scopes)
        if "openid" in scopes:
            answer["id_token"] = self._id_token(account, client_id, scopes, nonce)
            info = json.dumps({"uid": account.id, "utid": account.directory}).encode()
            answer["client_info"] = base64.urlsafe_b64encode(info).rstrip(b"=").decode()
        return answer

    def _client(self, call: Call, form: dict[str, str]) -> Client:
        client_id, secret = client_credentials(call, form)
        client = self._world.clients["ms365"].get(client_id)
        if client is None:
            raise self._refuse("unauthorized_client", 700016, client_id)
        if form.get("client_assertion_type") == _ASSERTION_TYPE and not client.is_public:
            return self._by_certificate(call, form, client)
        if client.is_public:
            if secret:
                raise self._refuse("invalid_client", 700025, status=401)
            return client
        if not secret:
            raise self._refuse("invalid_client", 7000218, status=401)
        if not secrets.compare_digest(client.client_secret.encode(), secret.encode()):
            raise self._refuse("invalid_client", 7000215, status=401)
        return client

    def _by_certificate(self, call: Call, form: dict[str, str], client: Client) -> Client:
        """Verify the assertion by which a client proves itself with a certificate."""
        audience = f"{self._world.microsoft_url}/{call.params['tenant']}/oauth2/v2.0/token"
        known = self._world.client_certificates.get(client.client_id, ClientCertificates())
        try:
            known.verify(form.get("client_assertion", ""), client.client_id, audience)
        except AssertionRefused as exc:
            number = _ASSERTION_NUMBERS.get(str(exc), 50027)
            raise self._refuse("invalid_client", number, str(exc), status=401) from exc
        return client

    def _by_code(self, call: Call, form: dict[str, str], client: Client) -> JSON:
        code = self._tokens.code(form.get("code", ""))
        if code is None or code.client_id != client.client_id:
            raise self._refuse("invalid_grant", 70000)
        call.account = code.account
        self._check_code(code, form)
        code.is_used = True
        return self.issue(code.account, client.client_id, code.scopes, nonce=code.nonce)

    def _check_code(self, code: Code, form: dict[str, str]) -> None:
        if code.is_used:
            raise self._refuse("invalid_grant", 54005)
        if code.expires_at <= self._world.clock.seconds():
            raise self._refuse("invalid_grant", 70008)
        if code.redirect_uri != form.get("redirect_uri", ""):
            raise self._refuse("invalid_grant", 500112, form.get("redirect_uri", ""))
        if code.challenge and not verifies(code.challenge, form.get("code_verifier", "")):
            raise self._refuse("invalid_grant", 501481)

    def _by_refresh_token(self, call: Call, form: dict[str, str], client: Client) -> JSON:
        refresh = self._tokens.refresh(form.get("refresh_token", ""))
        if refresh is None or refresh.client_id != client.client_id:
            raise self._refuse("invalid_grant", 70000)
        call.account = refresh.account
        now = self._world.clock.seconds()
        if refresh.dead:
            raise self._refuse("invalid_grant", int(refresh.dead))
        if now - refresh.last_used_at > self._world.knobs.ms_refresh_token_seconds:
            raise self._refuse("invalid_grant", 700082)
        refresh.last_used_at = now
        asked = self._asked(form, refresh)
        if self._world.knobs.ms_single_use_refresh_tokens:
            refresh.dead = "54005"
        return self.issue(refresh.account, client.client_id, asked)

    def _asked(self, form: dict[str, str], refresh: Refresh) -> tuple[str, ...]:
        """Return the scopes to grant: those asked for, which must have been consented to."""
        asked = tuple(form.get("scope", "").split()) or refresh.scopes
        consented = {_short(scope) for scope in refresh.scopes} | set(_OIDC)
        if any(_short(scope) not in consented and _short(scope) != ".default" for scope in asked):
            raise self._refuse("invalid_grant", 65001, refresh.client_id, suberror="consent_required")
        if any(_short(scope) == ".default" for scope in asked):
            return refresh.scopes
        return (*asked, *(scope for scope in ("offline_access",) if scope not in asked))

    def _by_device_code(self, call: Call, form: dict[str, str], client: Client) -> JSON:
        """Answer a device that asks again and again until its person has decided (RFC 8628)."""
        pending = self._devices.find(form.get("device_code", ""))
        if pending is None or pending.client_id != client.client_id:
            raise self._refuse("expired_token", 70020)
        if pending.is_denied:
            raise self._refuse("authorization_declined", 65004)
        if pending.account is None:
            raise self._refuse("authorization_pending", 70016)
        call.account = pending.account
        self._devices.end(pending)
        return self.issue(pending.account, client.client_id, pending.scopes)

    def _by_client(self, call: Call, form: dict[str, str], client: Client) -> JSON:
        """Give the app's own token for one organisation, if an administrator there has admitted the app."""
        directory = call.params["tenant"]
        if form.get("scope") not in (f"{_GRAPH}.default", f"{self._world.microsoft_url}/.default"):
            raise self._refuse("invalid_scope", 70011, form.get("scope", ""))
        if directory in SHARED_TENANTS or all(
            account.directory != directory for account in self._world.accounts["ms365"]
        ):
            raise self._refuse("invalid_request", 90002, directory)
        roles = self._world.app_consents.get((client.client_id, directory))
        if roles is None:
            raise self._refuse("unauthorized_client", 700016, client.client_id)
        expires_at = self._world.clock.seconds() + self._world.knobs.access_token_seconds
        claims = {
            "aud": "00000003-0000-0000-c000-000000000000",
            "iss": f"https://sts.windows.net/{directory}/",
            "exp": int(expires_at),
            "appid": client.client_id,
            "idtyp": "app",
            "tid": directory,
            "ver": "1.0",
        } | ({"roles": sorted(roles)} if roles else {})
        text = ".".join((_b64({"typ": "JWT", "alg": "RS256"}), _b64(claims), secrets.token_urlsafe(256)))
        self._tokens.add_access(text, Grant(None, client.client_id, roles, expires_at, directory))
        return {"token_type": "Bearer", "expires_in": self._world.knobs.access_token_seconds, "access_token": text}

    def _access(self, account: Account, client_id: str, scopes: tuple[str, ...]) -> str:
        own = [scope.removeprefix(_OWN_API) for scope in scopes if scope.startswith(_OWN_API)]
        if own:
            return self._own_api(account, client_id, own)
        short = frozenset(_short(scope) for scope in scopes)
        expires_at = self._world.clock.seconds() + self._world.knobs.access_token_seconds
        claims = {
            "aud": "00000003-0000-0000-c000-000000000000",
            "iss": f"https://sts.windows.net/{account.directory}/",
            "exp": int(expires_at),
            "appid": client_id,
            "oid": account.id,
            "scp": " ".join(sorted(short - set(_OIDC))),
            "tid": account.directory,
            "ver": "1.0",
        }
        text = ".".join((_b64({"typ": "JWT", "alg": "RS256"}), _b64(claims), secrets.token_urlsafe(256)))
        return self._tokens.add_access(text, Grant(account, client_id, short, expires_at, account.directory))

    def _own_api(self, account: Account, client_id: str, scopes: list[str]) -> str:
        """Return a token of version 2.0 for the organisation's own API, which anybody can verify."""
        audience = scopes[0].partition("/")[0]
        claims = self._claims(account, client_id) | {
            "aud": audience,
            "azp": client_id,
            "azpacr": "0",
            "scp": " ".join(scope.partition("/")[2] for scope in scopes),
            "sub": hashlib.sha256(f"{account.id}{audience}".encode()).hexdigest()[:43],
        }
        return self._keys.sign(claims)

    def _refresh(self, account: Account, client_id: str, scopes: tuple[str, ...]) -> str:
        refresh = Refresh(account, client_id, scopes, self._world.clock.seconds())
        return self._tokens.add_refresh(opaque("1.AXkA", 600), refresh, self._world.knobs.ms_max_app_tokens)

    def _id_token(self, account: Account, client_id: str, scopes: tuple[str, ...], nonce: str) -> str:
        claims = self._claims(account, client_id)
        if "email" in scopes:
            claims["email"] = account.address
        if nonce:
            claims["nonce"] = nonce
        return self._keys.sign(claims)

    def _claims(self, account: Account, client_id: str) -> dict[str, Any]:
        """Return the claims that id tokens and access tokens of version 2.0 share."""
        now = int(self._world.clock.seconds())
        claims: dict[str, Any] = {
            "aud": client_id,
            "iss": f"{self._world.microsoft_url}/{account.directory}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + self._world.knobs.access_token_seconds,
            "name": account.name,
            "oid": account.id,
            "preferred_username": account.principal,
            "sub": hashlib.sha256(f"{account.id}{client_id}".encode()).hexdigest()[:43],
            "tid": account.directory,
            "uti": secrets.token_urlsafe(16),
            "ver": "2.0",
        }
        # An app whose registration asks for groups; more than 200 are left out, and a claim says so.
        if len(account.groups) > _MOST_GROUPS:
            claims |= {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "groups"}}}
        elif account.groups:
            claims["groups"] = list(account.groups)
        return claims

    def _refuse(self, error: str, number: int, detail: str = "", *, status: int = 400, suberror: str = "") -> ApiError:
        return aadsts(error, number, self._world.clock.now(), detail, status=status, suberror=suberror)


def _short(scope: str) -> str:
    return scope.removeprefix(_GRAPH)


def _b64(value: JSON) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()
