"""Verify id tokens, and access tokens that are JWTs: signature by the published keys, issuer, audience, times, nonce.

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
_RETRY_SECONDS = 2.0
"""The pause behind a failed fetch while no keys can be used: a stranger's tokens must not make a fetch each."""
_MAX_KEYS = 64
_CLAIMS = {"iss": "issuer", "aud": "audience", "exp": "time", "iat": "time"}
_CHECKS: tuple[tuple[tuple[type[jwt.PyJWTError], ...], str], ...] = (
    ((jwt.InvalidSignatureError,), "signature"),
    ((jwt.ExpiredSignatureError, jwt.ImmatureSignatureError, jwt.InvalidIssuedAtError), "time"),
    ((jwt.InvalidAudienceError,), "audience"),
    ((jwt.InvalidIssuerError,), "issuer"),
    ((jwt.InvalidAlgorithmError, jwt.InvalidKeyError), "algorithm"),
    ((jwt.exceptions.InvalidSubjectError,), "claims"),
)
"""The checks behind the library's failures; the first that fits."""


class PublishedKeys:
    """A provider's public keys, cached for an hour, and fetched again for an unknown key id, at most twice a minute.

    A fetch that fails counts as one. Until the next one, keys of the last hour are used, and unknown ids fail with
    `ProviderUnavailable`; without such keys the next one may begin after two seconds.

    Args:
        api: Fetches the key set.
        url: Returns the address of the key set at each fetch, since discovery may name it.
    """

    def __init__(self, api: ProviderApi, url: Callable[[], Awaitable[str]]) -> None:
        self._api = api
        self._url = url
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
                    raise ProviderUnavailable("The provider's keys could not be fetched a moment ago.")
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
        answer = await self._api.get(await self._url())
        entries = answer.document.get("keys")
        if not isinstance(entries, list):
            raise ProviderUnavailable("The provider's key set could not be read.")
        signing = [entry for entry in entries[:_MAX_KEYS] if _is_signing(entry)]
        self._keys = {entry["kid"]: key for entry in signing if (key := _parsed(entry)) and _has_id(entry)}
        self._only = _parsed(signing[0]) if len(signing) == 1 and len(entries) <= _MAX_KEYS else None
        self._fetched_at = time.monotonic()


@dataclass(frozen=True)
class Expected:
    """The required claims of a token.

    Args:
        audience: Our client id; of an access token, the resource.
        is_issuer: Tells whether the claims name a valid issuer.
        nonce: The nonce of the authorization request; None for an access token, which has none.
        required: Required claims beside the usual ones.
    """

    audience: str
    is_issuer: Callable[[Mapping[str, Any]], bool]
    nonce: str | None = field(repr=False)
    required: tuple[str, ...] = ()


async def verified_claims(keys: PublishedKeys, token: str, expected: Expected, provider: str) -> Mapping[str, Any]:
    """Verify a token.

    Returns:
        Its claims.

    Raises:
        IdentityUnproven: The token fails a check, which the metadata names: `format`, `key_id`, `algorithm`,
            `signature`, `issuer`, `audience`, `nonce`, `time` or `claims`.
        ProviderUnavailable: The provider's keys could not be fetched.
    """
    try:
        header = jwt.get_unverified_header(token)
        key = await (keys.key(str(header["kid"])) if "kid" in header else keys.only_key())
        if key is None:
            raise unproven(provider, "key_id")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(_ALGORITHMS),
            audience=expected.audience,
            leeway=SKEW_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub", *expected.required]},
        )
    except jwt.PyJWTError as exc:
        raise unproven(provider, _check_of(exc)) from exc
    if not expected.is_issuer(claims):
        raise unproven(provider, "issuer")
    if expected.nonce is not None and claims.get("nonce") != expected.nonce:
        raise unproven(provider, "nonce")
    return claims


def unproven(provider: str, check: str) -> IdentityUnproven:
    """Make the failure of a check. It names the check, and nothing of the token."""
    return IdentityUnproven(metadata={"provider": provider, "detail": check})


def _check_of(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return _CLAIMS.get(error.claim, "claims")
    return next((check for kinds, check in _CHECKS if isinstance(error, kinds)), "format")


def _is_signing(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("use", "sig") == "sig"


def _has_id(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("kid"), str)


def _parsed(entry: dict[str, Any]) -> jwt.PyJWK | None:
    """Read a key; None for a kind of key that we do not accept, whose id stays unknown."""
    try:
        return jwt.PyJWK(entry, algorithm=entry.get("alg", "RS256"))
    except jwt.PyJWTError:
        return None
