"""One webhook to its receiver, with everything that the endpoint shows there: headers, certificate, access token."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from ssl import SSLContext
from typing import Final

from services.delivery.endpoints.access import ClientCertificate, ClientCredentials
from services.delivery.endpoints.secrets import Sealer
from services.delivery.sending.tokens import Tokens
from services.delivery.store.rows import EndpointRow
from services.egress.client import EgressClient
from services.egress.exchange import Answer
from services.egress.faults import EgressError, Fault
from services.meshkit.cache import BoundedCache
from services.meshkit.secret import Secret

IDENTITIES: Final = 200
"""Client certificates that a process keeps ready; one takes about a megabyte."""


class Receivers:
    """Sends webhooks to receivers.

    Args:
        client: The guarded way out.
        sealer: Opens the secrets of endpoints.
    """

    def __init__(self, client: EgressClient, sealer: Sealer) -> None:
        self._client = client
        self._sealer = sealer
        self._tokens = Tokens(client)
        self._identities: BoundedCache[bytes, SSLContext] = BoundedCache(IDENTITIES)

    async def post(self, row: EndpointRow, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one webhook; once more with a new access token after an answer 401.

        Args:
            row: The endpoint.
            body: The bytes that were signed.
            headers: mailmesh's headers, among them the signature's.

        Raises:
            EgressError: There is no answer, or no access token.
            KeyUnavailable, SealBroken: The endpoint's secrets do not open.
        """
        ends_at = asyncio.get_running_loop().time() + row.timeout_ms / 1000
        own, access = self._sealer.headers(row), self._sealer.access(row)
        tls = self._identity(row, access.client_certificate)
        if access.client_credentials is None:
            return await self._post(row, body, headers, own, tls, ends_at)
        token = await self._token(row, access.client_credentials, ends_at)
        answer = await self._post(row, body, headers, own | _bearer(token), tls, ends_at)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        self._tokens.discard(row.sealed_access, token)
        token = await self._token(row, access.client_credentials, ends_at)
        return await self._post(row, body, headers, own | _bearer(token), tls, ends_at)

    async def _post(
        self,
        row: EndpointRow,
        body: bytes,
        headers: Mapping[str, str],
        own: dict[str, Secret],
        tls: SSLContext | None,
        ends_at: float,
    ) -> Answer:
        seconds = _left(ends_at, Fault.TIMED_OUT)
        return await self._client.post(row.url, body, headers, timeout_seconds=seconds, own_headers=own, tls=tls)

    async def _token(self, row: EndpointRow, credentials: ClientCredentials, ends_at: float) -> Secret:
        return await self._tokens.of(row.sealed_access, credentials, _left(ends_at, Fault.TOKEN_UNAVAILABLE))

    def _identity(self, row: EndpointRow, kept: ClientCertificate | None) -> SSLContext | None:
        if kept is None:
            return None
        found = self._identities.get(row.sealed_access)
        if found is None:
            found = self._client.identity(kept.certificate, kept.key)
            self._identities.put(row.sealed_access, found)
        return found


def _bearer(token: Secret) -> dict[str, Secret]:
    return {"authorization": Secret(f"Bearer {token.reveal()}")}


def _left(ends_at: float, fault: Fault) -> float:
    """Return the seconds until a deadline.

    Raises:
        EgressError: There are none.
    """
    seconds = ends_at - asyncio.get_running_loop().time()
    if seconds <= 0:
        raise EgressError(fault)
    return seconds
