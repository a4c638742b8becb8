"""Verifies the validation tokens by which Graph's change tracking proves that it sent a POST.

Anyone who has our public certificate can encrypt for it, so the encryption proves nothing about the sender. Microsoft's
page, "Change notifications with resource data", names the checks: signature, expiry, audience, issuer and publisher.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import httpx
import jwt
import orjson

from services.ingest.errors import ProviderUnavailable
from services.ingest.metrics import VALIDATION_TOKENS
from services.meshkit.answers import bounded_body
from services.meshkit.published_keys import PublishedKeys
from services.meshkit.secret import Secret
from services.providers.names import MS365

MAX_TOKENS: Final = 100
"""The most validation tokens of a POST. Graph sends one for each app and organisation."""
_FETCH_SECONDS: Final = 2.0
_MAX_DOCUMENT_BYTES: Final = 256 * 1024
_SKEW_SECONDS: Final = 300
_TENANT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PUBLISHER_CLAIMS: Final = {"1.0": "appid", "2.0": "azp"}
_CHECKS: Final[tuple[tuple[tuple[type[jwt.PyJWTError], ...], str], ...]] = (
    ((jwt.InvalidSignatureError,), "signature"),
    ((jwt.ExpiredSignatureError, jwt.ImmatureSignatureError, jwt.InvalidIssuedAtError), "time"),
    ((jwt.InvalidAudienceError,), "audience"),
)


class _TokenRefusedError(Exception):
    """A token fails a check."""

    def __init__(self, check: str) -> None:
        super().__init__(check)
        self.check = check


class Publisher:
    """Verifies validation tokens.

    Args:
        fetch: Fetches the JSON object of an address.
        authority: Microsoft's authority, whose discovery document (OpenID Connect Discovery 1.0) names keys and issuer.
        audience: Our application id.
        publisher_id: The application id of Graph's change tracking.
        sts_url: The beginning of the issuer of tokens of version 1.0.
    """

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[dict[str, Any]]],
        *,
        authority: str,
        audience: str,
        publisher_id: str,
        sts_url: str,
    ) -> None:
        self._fetch = fetch
        self._authority = authority
        self._audience = audience
        self._publisher_id = publisher_id.lower()
        self._sts_url = sts_url
        self._issuer = ""
        self._keys = PublishedKeys(self._key_set, _unavailable)

    async def organisations(self, tokens: Sequence[Secret]) -> frozenset[str]:
        """Return the organisations for which a POST's tokens speak, in lower case.

        Args:
            tokens: All tokens of the POST; untrusted.

        Returns:
            Their directory ids; none when a single token fails a check, or when there are no tokens or too many.

        Raises:
            ProviderUnavailable: Microsoft's keys could not be fetched.
        """
        if not 0 < len(tokens) <= MAX_TOKENS:
            VALIDATION_TOKENS.labels("number").inc()
            return frozenset()
        try:
            found = frozenset([await self._organisation(token) for token in tokens])
        except _TokenRefusedError as exc:
            VALIDATION_TOKENS.labels(exc.check).inc()
            return frozenset()
        VALIDATION_TOKENS.labels("ok").inc(len(tokens))
        return found

    async def _organisation(self, token: Secret) -> str:
        claims = await self._claims(token)
        tenant_id, version = claims["tid"], claims["ver"]
        if not isinstance(tenant_id, str) or not _TENANT_ID.fullmatch(tenant_id):
            raise _TokenRefusedError("claims")
        publisher_claim = _PUBLISHER_CLAIMS.get(version) if isinstance(version, str) else None
        if publisher_claim is None:
            raise _TokenRefusedError("claims")
        issuer = f"{self._sts_url}/{tenant_id}/" if version == "1.0" else self._issuer.replace("{tenantid}", tenant_id)
        if claims["iss"] != issuer:
            raise _TokenRefusedError("issuer")
        publisher = claims.get(publisher_claim)
        if not isinstance(publisher, str) or publisher.lower() != self._publisher_id:
            raise _TokenRefusedError("publisher")
        return tenant_id.lower()

    async def _claims(self, token: Secret) -> dict[str, Any]:
        try:
            key_id = jwt.get_unverified_header(token.reveal()).get("kid")
            key = await self._keys.key(key_id) if isinstance(key_id, str) else None
            if key is None:
                raise _TokenRefusedError("key_id")
            claims: dict[str, Any] = jwt.decode(
                token.reveal(),
                key,
                algorithms=["RS256"],
                audience=self._audience,
                leeway=_SKEW_SECONDS,
                options={"require": ["exp", "iss", "aud", "tid", "ver"]},
            )
        except jwt.PyJWTError as exc:
            raise _TokenRefusedError(_check_of(exc)) from exc
        return claims

    async def _key_set(self) -> dict[str, Any]:
        found = await self._fetch(f"{self._authority}/v2.0/.well-known/openid-configuration")
        issuer, address = found.get("issuer"), found.get("jwks_uri")
        if not isinstance(issuer, str) or not isinstance(address, str):
            raise _unavailable("Microsoft's discovery document could not be read.")
        keys = await self._fetch(address)
        self._issuer = issuer
        return keys


def fetch_json(client: httpx.AsyncClient) -> Callable[[str], Awaitable[dict[str, Any]]]:
    """Return a function that fetches a JSON object of at most 256 KiB by HTTPS, within two seconds.

    Its failures are `ProviderUnavailable`: the POST is refused, and Graph repeats it.
    """
    too_long = partial(_unavailable, "Microsoft's keys are larger than 256 KiB.")

    async def fetch(url: str) -> dict[str, Any]:
        try:
            # httpx bounds the pause between two bytes only: an answer in drops would take all POSTs with it.
            async with asyncio.timeout(_FETCH_SECONDS), client.stream("GET", url, timeout=_FETCH_SECONDS) as answer:
                document = orjson.loads(await bounded_body(answer.raise_for_status(), _MAX_DOCUMENT_BYTES, too_long))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as exc:
            raise _unavailable("Microsoft's keys could not be fetched.") from exc
        if not isinstance(document, dict):
            raise _unavailable("Microsoft's keys could not be read.")
        return document

    return fetch


def _unavailable(message: str) -> ProviderUnavailable:
    return ProviderUnavailable(message, metadata={"provider": MS365, "bound": "publisher_keys"})


def _check_of(error: jwt.PyJWTError) -> str:
    return next((check for kinds, check in _CHECKS if isinstance(error, kinds)), "format")
