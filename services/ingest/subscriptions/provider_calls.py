"""Calls to a provider about subscriptions: with a token, a deadline, and one retry when the token is refused."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx

from mailmesh.vault.v1.tenant_pb2 import Tenant
from mailmesh.vault.v1.token_vault_service_pb2 import IssueTokenRequest
from services.ingest.errors import TokenRejected
from services.ingest.subscriptions.failures import TokenRejectedError, raise_for, unreachable
from services.meshkit.answers import bounded_body
from services.meshkit.secret import Secret
from services.providers.abilities import MAIL_READ

ANSWER_BYTES = 4 * 1024 * 1024
"""The longest answer, unpacked: a page of a list of subscriptions has some hundred KiB."""
CALL_SECONDS = 30.0
"""A create call waits for the provider's handshake with our own edge, which may take ten seconds."""


IssueToken = Callable[[IssueTokenRequest], Awaitable[Any]]


class TokenBorrower:
    """Borrows tokens from TokenVault, without a cache, because calls about subscriptions are rare.

    Args:
        issue: The stub's `IssueToken`.
    """

    def __init__(self, issue: IssueToken) -> None:
        self._issue = issue

    async def borrow(
        self, tenant_id: str, ability: str = MAIL_READ, *, rejected: Secret | None = None
    ) -> tuple[Secret, Tenant]:
        """Borrow a token.

        Args:
            tenant_id: The tenant.
            ability: The ability for which the token is needed.
            rejected: A token that the provider refused, so that it is not lent again.

        Returns:
            The token, and the tenant as TokenVault knows it.

        Raises:
            MeshError: The error of TokenVault.
        """
        digest = hashlib.sha256(rejected.reveal().encode()).hexdigest() if rejected else ""
        answer = await self._issue(
            IssueTokenRequest(tenant_id=tenant_id, rejected_token_digest=digest, ability=ability)
        )
        return Secret(answer.access_token), answer.tenant


class ProviderCalls:
    """HTTP calls on behalf of a tenant.

    Args:
        provider: "ms365" or "googlews".
        http: The client, with its trusted certificates and its pool.
        tokens: The source of tokens.
        ability: The ability that the calls need.
    """

    def __init__(self, provider: str, http: httpx.AsyncClient, tokens: TokenBorrower, ability: str = MAIL_READ) -> None:
        self._provider = provider
        self._http = http
        self._tokens = tokens
        self._ability = ability

    async def send(self, tenant_id: str, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request, and send it once more with a new token when the first token is refused.

        Args:
            tenant_id: The tenant on whose behalf.
            method: The HTTP method.
            url: The full URL.
            options: As for httpx (`json`, `headers`).

        Returns:
            A successful answer.

        Raises:
            TokenRejected: The provider refused a fresh token too.
            MeshError: The error of the answer; see `raise_for`.
        """
        token, _ = await self._tokens.borrow(tenant_id, self._ability)
        try:
            return await self._once(token, method, url, **options)
        except TokenRejectedError:
            token, _ = await self._tokens.borrow(tenant_id, self._ability, rejected=token)
        try:
            return await self._once(token, method, url, **options)
        except TokenRejectedError as exc:
            raise TokenRejected(subject=tenant_id, metadata={"tenant_id": tenant_id}) from exc

    async def _once(self, token: Secret, method: str, url: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token.reveal()}", **options.pop("headers", {})}
        request = self._http.build_request(method, url, headers=headers, timeout=CALL_SECONDS, **options)
        try:
            async with asyncio.timeout(CALL_SECONDS):  # httpx bounds each wait only
                response = await self._read(await self._http.send(request, stream=True))
        except (httpx.HTTPError, TimeoutError) as exc:
            raise unreachable(self._provider) from exc
        raise_for(self._provider, response)
        return response

    async def _read(self, response: httpx.Response) -> httpx.Response:
        """Return an answer with its body, unpacked, which is bounded."""
        body = await bounded_body(response, ANSWER_BYTES, partial(unreachable, self._provider))
        headers = [(name, value) for name, value in response.headers.items() if name != "content-encoding"]
        return httpx.Response(response.status_code, headers=headers, content=body, request=response.request)
