"""Service accounts: their keys, and the JWT bearer grant by which they get tokens (RFC 7523)."""

import secrets
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.google.errors import oauth_error
from simulator.http import JSON
from simulator.state import World
from simulator.tokens import Grant, opaque

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://oauth2.googleapis.com/token"
_LIFETIME_SECONDS = 3600
_SKEW_SECONDS = 60


@dataclass(slots=True)
class _Key:
    private: rsa.RSAPrivateKey
    address: str


class ServiceAccounts:
    """The keys that were made, and the tokens that are issued for them."""

    def __init__(self, world: World, project: str) -> None:
        self._world = world
        self._project = project
        self._keys: dict[str, _Key] = {}

    def make_key(self, address: str) -> JSON:
        """Make a key of a service account, and return it as the file that Google offers for download."""
        key_id, private = secrets.token_hex(20), rsa.generate_private_key(65537, 2048)
        self._keys[key_id] = _Key(private, address)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": self._project,
            "private_key_id": key_id,
            "private_key": pem.decode(),
            "client_email": address,
            "client_id": "113774264463038321965",
            "auth_uri": f"{self._world.google_url}/o/oauth2/v2/auth",
            "token_uri": f"{self._world.google_url}/token",
        }

    def remove_keys(self) -> int:
        """Remove all keys; tokens that were issued live on. Returns how many there were."""
        count = len(self._keys)
        self._keys.clear()
        return count

    def token(self, form: dict[str, str]) -> JSON:
        """Answer the grant: a token of the service account itself."""
        claims, key = self._claims(form.get("assertion", ""))
        if claims.get("iss") != key.address:
            raise oauth_error("invalid_grant", "Invalid grant: account not found")
        scopes = str(claims.get("scope", "")).split()
        if not scopes:
            raise oauth_error("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        seconds = self._world.knobs.access_token_seconds
        grant = Grant(None, key.address, frozenset(scopes), self._world.clock.seconds() + seconds, self._project)
        access = self._world.tokens["googlews"].add_access(opaque("ya29.c.b0A", 160), grant)
        return {"access_token": access, "expires_in": seconds, "token_type": "Bearer"}

    def _claims(self, assertion: str) -> tuple[dict[str, Any], _Key]:
        try:
            key = self._keys.get(str(jwt.get_unverified_header(assertion).get("kid", "")))
            if key is None:
                raise oauth_error("invalid_grant", "Invalid JWT Signature.")
            claims: dict[str, Any] = jwt.decode(
                assertion,
                key.private.public_key(),
                algorithms=["RS256"],
                audience=[AUDIENCE, f"{self._world.google_url}/token"],
                options={"require": ["iss", "iat", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            raise oauth_error("invalid_grant", f"Invalid JWT: {error}") from error
        now = self._world.clock.seconds()
        begins, ends = float(claims["iat"]), float(claims["exp"])
        if not begins - _SKEW_SECONDS <= now < ends or ends - begins > _LIFETIME_SECONDS:
            raise oauth_error(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            )
        if "sub" in claims:
            raise oauth_error("unauthorized_client", "Client is unauthorized to retrieve access tokens.", 401)
        return claims, key
