"""Access tokens for receivers, by client credentials (RFC 6749, section 4.4)."""

import asyncio
import base64
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote_plus

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

from services.delivery.endpoints.access import ClientCredentials
from services.egress.client import EgressClient
from services.egress.exchange import READ_BYTES
from services.egress.faults import EgressError, Fault
from services.meshkit.cache import BoundedCache
from services.meshkit.secret import Secret

ENTRIES: Final = 1000
"""Tokens that a process keeps."""
LONGEST_SECONDS: Final = 3600.0
USUAL_SECONDS: Final = 300.0
"""The life of a token whose answer names none."""
SPARE_SECONDS: Final = 30.0
"""The time before its end at which a token is no longer used."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,4000}=*", re.ASCII)  # RFC 6750, section 2.1
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
_NONSENSE = (ValueError, OverflowError, RecursionError, TypeError, KeyError, AttributeError)
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True)
class _Kept:
    token: Secret
    until: float


class Tokens:
    """Gets tokens by the guarded way out, and keeps them in memory.

    Args:
        client: The guarded way out.
    """

    def __init__(self, client: EgressClient) -> None:
        self._client = client
        self._kept: BoundedCache[bytes, _Kept] = BoundedCache(ENTRIES)
        self._asking: dict[bytes, asyncio.Task[Secret]] = {}

    async def of(self, key: bytes, credentials: ClientCredentials, timeout_seconds: float) -> Secret:
        """Return a token. Callers who ask for the same one at once share one request.

        Args:
            key: The sealed form of the credentials, which is new after each change.
            credentials: The credentials.
            timeout_seconds: The deadline.

        Raises:
            EgressError: TOKEN_REFUSED or TOKEN_UNAVAILABLE.
        """
        kept = self._kept.get(key)
        if kept is not None and kept.until > time.monotonic():
            return kept.token
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.create_task(self._fetch(key, credentials, timeout_seconds))
            self._asking[key] = asking
            asking.add_done_callback(lambda done: self._end(key, done))
        try:
            async with asyncio.timeout(timeout_seconds):
                return await asyncio.shield(asking)
        except TimeoutError:
            raise EgressError(Fault.TOKEN_UNAVAILABLE) from None

    def discard(self, key: bytes, token: Secret) -> None:
        """Forget a token that the receiver refused, unless there is a newer one already. Safe to call again."""
        kept = self._kept.get(key)
        if kept is not None and kept.token is token:
            self._kept.discard(key)

    def _end(self, key: bytes, done: "asyncio.Task[Secret]") -> None:
        self._asking.pop(key, None)
        if not done.cancelled():
            done.exception()  # Marks it as seen: the callers may be gone.

    async def _fetch(self, key: bytes, credentials: ClientCredentials, timeout_seconds: float) -> Secret:
        oauth = BackendApplicationClient(credentials.client_id)
        scope = credentials.scope or None
        body = oauth.prepare_request_body(scope=scope, include_client_id=False).encode()
        headers = {"authorization": _basic(credentials)}
        asked_at = time.monotonic()
        try:
            answer = await self._client.post(
                credentials.token_url,
                body,
                _FORM,
                timeout_seconds=timeout_seconds,
                own_headers=headers,
                keep_bytes=READ_BYTES,
            )
        except EgressError as exc:
            fault = exc.fault if exc.fault is Fault.MACHINE_BUSY else Fault.TOKEN_UNAVAILABLE
            raise EgressError(fault) from exc
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _PASSING:
            raise EgressError(Fault.TOKEN_UNAVAILABLE)
        if answer.status != HTTPStatus.OK or not answer.is_complete:
            raise EgressError(Fault.TOKEN_REFUSED)
        token, seconds = _read(oauth, answer.body)
        self._kept.put(key, _Kept(token, asked_at + seconds - SPARE_SECONDS))
        return token


def _basic(credentials: ClientCredentials) -> Secret:
    """Return the header of RFC 6749, section 2.3.1: both parts are encoded as in a form, then as in HTTP Basic."""
    pair = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret.reveal())}"
    return Secret(f"Basic {base64.b64encode(pair.encode()).decode()}")


def _read(oauth: BackendApplicationClient, body: bytes) -> tuple[Secret, float]:
    """Return the token of an answer, and its life in seconds. Strangers wrote the answer."""
    try:
        found = oauth.parse_request_body_response(body.decode())
        token, kind = str(found["access_token"]), str(found.get("token_type", "bearer"))
        seconds = float(found.get("expires_in") or USUAL_SECONDS)
    # The library passes on the errors of JSON, of deep JSON, of numbers and of an answer that is no object.
    except (OAuth2Error, *_NONSENSE, Warning):
        raise EgressError(Fault.TOKEN_REFUSED) from None
    if kind.lower() != "bearer" or not _TOKEN.fullmatch(token) or not seconds > 0:
        raise EgressError(Fault.TOKEN_REFUSED)
    return Secret(token), min(seconds, LONGEST_SECONDS)
