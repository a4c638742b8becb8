"""Verify id tokens, and access tokens that are JWTs: signature by the published keys, issuer, audience, times, nonce.

Neither msal nor Google's library checks all of these, so this module does it for both.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from services.meshkit.published_keys import PublishedKeys
from services.token_vault.errors import IdentityUnproven, ProviderUnavailable
from services.token_vault.issuers.http import ProviderApi

SKEW_SECONDS = 300
_ALGORITHMS = ("RS256", "ES256")
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


def published_keys(api: ProviderApi, url: Callable[[], Awaitable[str]]) -> PublishedKeys:
    """Return a provider's public keys.

    Args:
        api: Fetches the key set.
        url: Returns the address of the key set at each fetch, since discovery may name it.
    """

    async def fetch() -> Mapping[str, Any]:
        return (await api.get(await url())).document

    return PublishedKeys(fetch, ProviderUnavailable)


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
