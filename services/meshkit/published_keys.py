"""A provider's public keys of signed tokens: fetched, kept for a while, and fetched again as they rotate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt

from services.meshkit.errors import MeshError

_KEYS_SECONDS = 3600.0
_AGAIN_SECONDS = 30.0
_RETRY_SECONDS = 2.0
"""The pause behind a failed fetch while no keys can be used: a stranger's tokens must not make a fetch each."""
_MAX_KEYS = 64
_ALGORITHMS = ("RS256", "ES256")
"""The algorithms of tokens that we accept."""


class PublishedKeys:
    """A provider's public keys, cached for an hour, and fetched again for an unknown key id, at most twice a minute.

    A fetch that fails counts as one. Until the next one, keys of the last hour are used, and unknown ids fail with
    the failure of `unavailable`; without such keys the next one may begin after two seconds.

    Args:
        fetch: Returns the provider's JSON Web Key Set (RFC 7517).
        unavailable: Makes the failure of a set that cannot be fetched, from a sentence.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Mapping[str, Any]]], unavailable: Callable[[str], MeshError]
    ) -> None:
        self._fetch_set = fetch
        self._unavailable = unavailable
        self._keys: dict[str, jwt.PyJWK] = {}
        self._only: jwt.PyJWK | None = None
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Find a key. An unknown id fetches the set again, at most twice a minute."""
        if self._age() > _KEYS_SECONDS or key_id not in self._keys:
            await self._fetched()
        return self._keys.get(key_id)

    async def only_key(self) -> jwt.PyJWK | None:
        """Return the key of a set that holds a single one, for a token without a key id (OpenID Connect Core, 10.1).

        Such a token cannot tell that the key was replaced, so each call fetches the set again, at most twice a minute.
        """
        if self._age() > _AGAIN_SECONDS:
            await self._fetched()
        return self._only

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    async def _fetched(self) -> None:
        """Wait for one fetch together with all other callers. A caller that gives up leaves it to the others.

        Soon after a fetch there is none: the keys are known, or the failure stands for this caller, too.
        """
        if self._fetching is None:
            pause = _AGAIN_SECONDS if self._age() <= _KEYS_SECONDS else _RETRY_SECONDS
            if time.monotonic() - self._tried_at <= pause:
                if self._tried_at > self._fetched_at:
                    raise self._unavailable("The provider's keys could not be fetched a moment ago.")
                return
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._ended)
        await asyncio.shield(self._fetching)

    def _ended(self, fetching: "asyncio.Task[None]") -> None:
        self._fetching = None
        if not fetching.cancelled():
            fetching.exception()  # Reading it keeps asyncio from warning when each caller has given up.

    async def _fetch(self) -> None:
        self._tried_at = time.monotonic()
        entries = (await self._fetch_set()).get("keys")
        if not isinstance(entries, list):
            raise self._unavailable("The provider's key set could not be read.")
        signing = [entry for entry in entries[:_MAX_KEYS] if _is_signing(entry)]
        self._keys = {entry["kid"]: key for entry in signing if (key := _parsed(entry)) and _has_id(entry)}
        self._only = _parsed(signing[0]) if len(signing) == 1 and len(entries) <= _MAX_KEYS else None
        self._fetched_at = time.monotonic()


def _is_signing(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("use", "sig") == "sig"


def _has_id(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("kid"), str)


def _parsed(entry: dict[str, Any]) -> jwt.PyJWK | None:
    """Read a key; None for a kind of key that we do not accept, whose id stays unknown."""
    algorithm = entry.get("alg", "RS256")
    if algorithm not in _ALGORITHMS:
        return None
    try:
        return jwt.PyJWK(entry, algorithm=algorithm)
    except jwt.PyJWTError:
        return None
