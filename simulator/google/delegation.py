"""Tokens of users for a service account: the JWT bearer grant (RFC 7523) with domain-wide delegation."""

from simulator.accounts import Account
from simulator.google.accounts import LONG
from simulator.google.errors import oauth_error
from simulator.http import JSON, Call
from simulator.registrations import AssertionRefused, ServiceAccount, header_of, unverified_claims, verified
from simulator.state import World
from simulator.tokens import Grant, opaque

AUDIENCE = "https://oauth2.googleapis.com/token"
"""The audience that Google's own libraries write, whatever the address of the endpoint is."""
_LONGEST_SECONDS = 3600
_WORDS = {
    "signature": "Invalid JWT Signature.",
    "key": "Invalid JWT Signature.",
    "time": "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat"
    " and exp values in the JWT claim.",
    "audience": "Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token",
    "claims": "Invalid JWT: The claims cannot be read.",
}


class Delegation:
    """Checks assertions of service accounts, and issues tokens of the users whom they name."""

    def __init__(self, world: World) -> None:
        self._world = world

    def names_user(self, form: dict[str, str]) -> bool:
        """Tell whether an assertion asks for the token of a user, not for that of the service account itself."""
        try:
            return "sub" in unverified_claims(form.get("assertion", ""))
        except AssertionRefused:
            return False

    def token(self, call: Call, form: dict[str, str]) -> JSON:
        """Return the token response, or raise the refusal."""
        try:
            service_account, claims = self._verified(form.get("assertion", ""))
        except AssertionRefused as exc:
            raise oauth_error("invalid_grant", _WORDS[str(exc)]) from exc
        scopes = tuple(LONG.get(scope, scope) for scope in str(claims.get("scope", "")).split())
        if not scopes:
            raise oauth_error("invalid_scope", "Empty or missing scope not allowed.")
        user = self._world.accounts["googlews"].find(str(claims.get("sub", "")))
        if user is None or user.address.lower() != str(claims["sub"]).lower():
            raise oauth_error("invalid_grant", "Invalid email or User ID")
        call.account = user
        if not set(scopes) <= service_account.granted.get(user.directory, frozenset()):
            raise oauth_error(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any"
                " of the scopes requested.",
                401,
            )
        given = self._world.accounts["googlews"].find(service_account.mistaken.get(user.address, user.address))
        return self._issued(service_account, given or user, scopes)

    def _verified(self, assertion: str) -> tuple[ServiceAccount, JSON]:
        issuer = str(unverified_claims(assertion).get("iss", ""))
        service_account = self._world.service_accounts.get(issuer)
        if service_account is None:
            raise oauth_error("invalid_grant", "Invalid grant: account not found")
        key = service_account.keys.get(str(header_of(assertion).get("kid", "")))
        if key is None:
            raise AssertionRefused("key")
        audiences = [AUDIENCE, f"{self._world.google_url}/token"]
        claims = verified(assertion, key, ("RS256",), audiences, ("iss", "aud", "iat", "exp"))
        if claims["exp"] - claims["iat"] > _LONGEST_SECONDS:
            raise AssertionRefused("time")
        return service_account, claims

    def _issued(self, service_account: ServiceAccount, user: Account, scopes: tuple[str, ...]) -> JSON:
        seconds = self._world.knobs.access_token_seconds
        grant = Grant(
            user, service_account.client_id, frozenset(scopes), self._world.clock.seconds() + seconds, user.directory
        )
        access = self._world.tokens["googlews"].add_access(opaque("ya29.c.c0", 160), grant)
        return {"access_token": access, "expires_in": seconds, "token_type": "Bearer"}
