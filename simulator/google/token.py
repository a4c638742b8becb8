"""Google's token and revocation endpoints."""

import base64
import hashlib
import secrets
from typing import Any

from simulator.accounts import Account, Client
from simulator.flows import client_credentials, verifies
from simulator.google.accounts import ISSUER, LONG
from simulator.google.delegation import Delegation
from simulator.google.errors import oauth_error
from simulator.google.service_accounts import GRANT, ServiceAccounts
from simulator.http import JSON, Call, Operations, Reply
from simulator.keys import SigningKeys
from simulator.state import World
from simulator.tokens import Code, Grant, Refresh, opaque


class TokenEndpoint:
    """Issues tokens; a refresh token comes with the first consent and is never returned again."""

    def __init__(self, world: World, keys: SigningKeys, service_accounts: ServiceAccounts) -> None:
        self._world = world
        self._keys = keys
        self._service_accounts = service_accounts
        self._tokens = world.tokens["googlews"]
        self._delegation = Delegation(world)

    def register(self, operations: Operations) -> None:
        """Add the endpoints to the provider's table."""
        operations.add("google.token", "POST", "/token", self.token, is_api=False)
        operations.add("google.revoke", "POST", "/revoke", self.revoke, is_api=False)
        operations.add("google.tokeninfo", "GET", "/tokeninfo", self.tokeninfo, is_api=False)

    def token(self, call: Call) -> Reply:
        """Answer one request."""
        form = call.form()
        kind = form.get("grant_type", "")
        if kind == GRANT and self._delegation.names_user(form):
            return self._answer(self._delegation.token(call, form))
        if kind == GRANT:
            return self._answer(self._service_accounts.token(form))
        client = self._client(call, form)
        if kind == "authorization_code":
            return self._answer(self._by_code(call, form, client))
        if kind == "refresh_token":
            return self._answer(self._by_refresh_token(call, form, client))
        raise oauth_error("unsupported_grant_type", f"Invalid grant_type: {kind}")

    def _answer(self, body: JSON) -> Reply:
        return Reply(200, body, {"cache-control": "no-cache, no-store, max-age=0, must-revalidate"})

    def _client(self, call: Call, form: dict[str, str]) -> Client:
        client_id, secret = client_credentials(call, form)
        client = self._world.clients["googlews"].get(client_id)
        if client is None:
            raise oauth_error("invalid_client", "The OAuth client was not found.", 401)
        if not secrets.compare_digest(client.client_secret.encode(), secret.encode()):
            raise oauth_error("invalid_client", "Unauthorized", 401)
        return client

    def _by_code(self, call: Call, form: dict[str, str], client: Client) -> JSON:
        code = self._tokens.code(form.get("code", ""))
        if code is None or code.client_id != client.client_id:
            raise oauth_error("invalid_grant", "Malformed auth code.")
        call.account = code.account
        self._check_code(code, form)
        code.is_used = True
        return self.issue(code.account, client.client_id, code.scopes, is_offline=code.is_offline, nonce=code.nonce)

    def _check_code(self, code: Code, form: dict[str, str]) -> None:
        if code.is_used:
            raise oauth_error("invalid_grant", "Bad Request")
        if code.expires_at <= self._world.clock.seconds():
            raise oauth_error("invalid_grant", "Code was already redeemed or has expired.")
        if code.redirect_uri != form.get("redirect_uri", ""):
            raise oauth_error("redirect_uri_mismatch", "Bad Request")
        if code.challenge and not form.get("code_verifier"):
            raise oauth_error("invalid_grant", "Missing code verifier.")
        if code.challenge and not verifies(code.challenge, form["code_verifier"]):
            raise oauth_error("invalid_grant", "Invalid code verifier.")

    def _by_refresh_token(self, call: Call, form: dict[str, str], client: Client) -> JSON:
        refresh = self._tokens.refresh(form.get("refresh_token", ""))
        if refresh is None or refresh.client_id != client.client_id:
            raise oauth_error("invalid_grant", "Bad Request")
        call.account = refresh.account
        if refresh.dead:
            raise oauth_error("invalid_grant", refresh.dead)
        refresh.last_used_at = self._world.clock.seconds()
        asked = form.get("scope", "").split()
        if any(scope not in refresh.scopes for scope in (LONG.get(scope, scope) for scope in asked)):
            raise oauth_error("invalid_scope", "Some requested scopes were not granted.")
        return self.issue(refresh.account, client.client_id, refresh.scopes, is_offline=False)

    def issue(
        self, account: Account, client_id: str, scopes: tuple[str, ...], *, is_offline: bool, nonce: str = ""
    ) -> JSON:
        """Return the token response for an account; also used by the control API."""
        seconds = self._world.knobs.access_token_seconds
        expires_at = self._world.clock.seconds() + seconds
        access = self._tokens.add_access(
            opaque("ya29.a0A", 160), Grant(account, client_id, frozenset(scopes), expires_at, account.directory)
        )
        answer: JSON = {
            "access_token": access,
            "expires_in": seconds,
            "scope": " ".join(scopes),
            "token_type": "Bearer",
        }
        if is_offline:
            refresh = Refresh(account, client_id, scopes, self._world.clock.seconds())
            answer["refresh_token"] = self._tokens.add_refresh(
                opaque("1//0g", 70), refresh, self._world.knobs.google_max_refresh_tokens
            )
        if "openid" in scopes:
            answer["id_token"] = self._id_token(account, client_id, scopes, nonce, access)
        return answer

    def _id_token(self, account: Account, client_id: str, scopes: tuple[str, ...], nonce: str, access: str) -> str:
        now = int(self._world.clock.seconds())
        digest = hashlib.sha256(access.encode()).digest()[:16]
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "azp": client_id,
            "aud": client_id,
            "sub": account.id,
            "hd": account.directory,
            "at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "iat": now,
            "exp": now + self._world.knobs.access_token_seconds,
        }
        if LONG["email"] in scopes:
            claims |= {"email": account.address, "email_verified": True}
        if LONG["profile"] in scopes:
            claims["name"] = account.name
        if nonce:
            claims["nonce"] = nonce
        return self._keys.sign(claims)

    def revoke(self, call: Call) -> Reply:
        """Revoke a grant by either of its tokens: all tokens of that account and client die."""
        token = call.form().get("token") or call.first("token")
        refresh, grant = self._tokens.refresh(token), self._tokens.grant(token)
        found = refresh if refresh and not refresh.dead else grant
        if found is None or found.account is None:
            raise oauth_error("invalid_token", "Token expired or revoked")
        call.account = found.account
        self._tokens.kill_refresh(found.account, "Token has been expired or revoked.", found.client_id)
        self._tokens.kill_access(found.account, found.client_id)
        found.account.granted.pop(found.client_id, None)
        return Reply(200, {})

    def tokeninfo(self, call: Call) -> Reply:
        """Return the rights of an access token."""
        grant = self._tokens.grant(call.first("access_token"))
        if grant is None or grant.account is None:
            raise oauth_error("invalid_token", "Invalid Value")
        left = int(grant.expires_at - self._world.clock.seconds())
        return Reply(
            200,
            {
                "azp": grant.client_id,
                "aud": grant.client_id,
                "sub": grant.account.id,
                "scope": " ".join(sorted(grant.scopes)),
                "expires_in": str(left),
            },
        )
