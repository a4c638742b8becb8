"""Verify id tokens: signature by the provider's published keys, issuer, audience, times, nonce.

Neither msal nor Google's library checks all of these, so this module does it for both.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from services.token_vault.errors import IdentityUnproven, ProviderUnavailable
from services.token_vault.issuers.http import ProviderApi

SKEW_SECONDS = 300
_ALGORITHMS = ("RS256", "ES256")
_KEYS_SECONDS = 3600.0
_AGAIN_SECONDS = 30.0
_MAX_KEYS = 64


class PublishedKeys:
    """A provider's public keys, cached for an hour, and fetched again for an unknown key id.

    Args:
        api: Fetches the key set.
        url: Returns the address of the key set at each fetch, since discovery may name it.
    """

    def __init__(self, api: ProviderApi, url: Callable[[], Awaitable[str]]) -> None:
        self._api = api
        self._url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Find a key. An unknown id fetches the set again, at most twice a minute."""
        async with self._lock:
            age = time.monotonic() - self._fetched_at
            if age > _KEYS_SECONDS or (key_id not in self._keys and age > _AGAIN_SECONDS):
                await self._fetch()
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        answer = await self._api.get(await self._url())
        entries = answer.document.get("keys")
        if not isinstance(entries, list):
            raise ProviderUnavailable("The provider's key set could not be read.")
        self._keys = dict(_parsed(entries[:_MAX_KEYS]))
        self._fetched_at = time.monotonic()


@dataclass(frozen=True)
class Expected:
    """The required claims of an id token.

    Args:
        audience: Our client id.
        is_issuer: Tells whether the claims name a valid issuer.
        nonce: The nonce of the authorization request.
        required: Required claims beside the usual ones.
    """

    audience: str
    is_issuer: Callable[[Mapping[str, Any]], bool]
    nonce: str = field(repr=False)
    required: tuple[str, ...] = ()


async def verified_claims(keys: PublishedKeys, id_token: str, expected: Expected, provider: str) -> Mapping[str, Any]:
    """Verify an id token.

    Returns:
        Its claims.

    Raises:
        IdentityUnproven: The token fails a check.
        ProviderUnavailable: The provider's keys could not be fetched.
    """
    unproven = IdentityUnproven(metadata={"provider": provider})
    try:
        key = await keys.key(str(jwt.get_unverified_header(id_token).get("kid", "")))
        if key is None:
            raise unproven
        claims: dict[str, Any] = jwt.decode(
            id_token,
            key,
            algorithms=list(_ALGORITHMS),
            audience=expected.audience,
            leeway=SKEW_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub", *expected.required]},
        )
    except jwt.PyJWTError as exc:
        raise unproven from exc
    if not expected.is_issuer(claims) or claims.get("nonce") != expected.nonce:
        raise unproven
    return claims


def _parsed(entries: list[Any]) -> list[tuple[str, jwt.PyJWK]]:
    found = []
    for entry in entries:
        if isinstance(entry, dict) and entry.get("use", "sig") == "sig" and isinstance(entry.get("kid"), str):
            try:
                found.append((entry["kid"], jwt.PyJWK(entry, algorithm=entry.get("alg", "RS256"))))
            except jwt.PyJWTError:
                continue  # a kind of key that we do not accept; its id stays unknown
    return found
