"""Passes: the door of agents calls the edge with one in place of an agent's access token.

A pass names a key, lasts for a minute, and counts for the RPCs behind tools only. It is a JWT, signed with a key that
is derived from the key-encryption keys, so that each process can check the passes of every other.
"""

from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.meshkit import db
from services.meshkit.cache import BoundedCache
from services.meshkit.clock import Clock
from services.meshkit.errors import ApiKeyInvalid
from services.meshkit.secret import Secret
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.store import api_keys
from services.token_vault.store.api_keys import ApiKeyRow

SECONDS = 60
_SKEW_SECONDS = 10
_ALGORITHM = "HS256"
_AUDIENCE = "mailmesh:tools"
_CACHED = 10_000


class Passes:
    """Issues and checks passes.

    Args:
        pool: Connections to the database.
        ring: The key-encryption keys.
        clock: The time.
        keep: How long the answer about a key may be reused.
    """

    def __init__(self, pool: db.Pool, ring: KeyRing, clock: Clock, keep: timedelta) -> None:
        self._pool = pool
        self._ring = ring
        self._clock = clock
        self._cache: BoundedCache[str, ApiKeyRow] = BoundedCache(_CACHED, keep.total_seconds(), clock.monotonic)

    def issue(self, api_key_id: str) -> Secret:
        """Return a pass for a key."""
        key_id, now = self._ring.writing_id, int(self._clock.now().timestamp())
        claims = {"sub": api_key_id, "aud": _AUDIENCE, "iat": now, "exp": now + SECONDS}
        return Secret(jwt.encode(claims, self._signing_key(key_id), algorithm=_ALGORITHM, headers={"kid": key_id}))

    async def authenticate(self, presented: str) -> ApiKeyRow:
        """Find the key of a pass.

        Raises:
            ApiKeyInvalid: The pass is none of ours, is too old, or its key is no longer good; the failure does not say
                which.
            StoreUnavailable: The database did not answer.
        """
        row = await self._found(self._api_key_id(presented))
        if row is None or not row.is_good(self._clock.now()):
            raise ApiKeyInvalid
        return row

    def _api_key_id(self, presented: str) -> str:
        try:
            key_id = jwt.get_unverified_header(presented).get("kid")
            if not isinstance(key_id, str) or key_id not in self._ring:
                raise ApiKeyInvalid
            claims: dict[str, Any] = jwt.decode(
                presented,
                self._signing_key(key_id),
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                leeway=_SKEW_SECONDS,
                options={"require": ["sub", "aud", "iat", "exp"]},
            )
        except jwt.PyJWTError as exc:
            raise ApiKeyInvalid from exc
        return str(claims["sub"])

    def _signing_key(self, key_id: str) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=_AUDIENCE.encode()).derive(self._ring.key(key_id))

    async def _found(self, api_key_id: str) -> ApiKeyRow | None:
        found = self._cache.get(api_key_id)
        if found is None:
            read_at = self._clock.monotonic()
            async with db.connection(self._pool) as connection:
                found = await api_keys.get_api_key(connection, api_key_id)
            if found is not None:
                self._cache.put(api_key_id, found, read_at)
        return found
