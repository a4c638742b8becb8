"""Calls to a provider about subscriptions: a token, a deadline, one more try when the token is refused."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from mailmesh.vault.v1.tenant_pb2 import Tenant
from mailmesh.vault.v1.token_vault_service_pb2 import IssueTokenRequest
from services.ingest.errors import TokenRejected
from services.ingest.subscriptions.failures import TokenRejectedError, raise_for, unreachable
from services.meshkit.secret import Secret

CALL_SECONDS = 30.0
"""A create call waits for the provider's handshake with our own edge, which may take it ten seconds."""


IssueToken = Callable[[IssueTokenRequest], Awaitable[Any]]


class TokenBorrower:
    """TokenBorrower from TokenVault, asked for each time: subscriptions are called about rarely.

    Args:
        issue: The stub's `IssueToken`.
    """

    def __init__(self, issue: IssueToken) -> None:
        self._issue = issue

    async def borrow(self, tenant_id: str, *, rejected: Secret | None = None) -> tuple[Secret, Tenant]:
        """Borrows a token.

        Args:
            tenant_id: Whose.
            rejected: A token that the provider refused, so that it is not given again.

        Returns:
            The token, and the tenant as TokenVault knows it.

        Raises:
            MeshError: What TokenVault answers.
        """
        digest = hashlib.sha256(rejected.reveal().encode()).hexdigest() if rejected else ""
        answer = await self._issue(IssueTokenRequest(tenant_id=tenant_id, rejected_token_digest=digest))
        return Secret(answer.access_token), answer.tenant


class ProviderCalls:
    """HTTP calls in a tenant's name.

    Args:
        provider: "ms365" or "googlews".
        http: The client, with its trust and its pool.
        tokens: Where tokens come from.
    """

    def __init__(self, provider: str, http: httpx.AsyncClient, tokens: TokenBorrower) -> None:
        self._provider = provider
        self._http = http
        self._tokens = tokens

    async def send(self, tenant_id: str, method: str, url: str, **options: Any) -> httpx.Response:
        """Sends one request, once more with a new token when the first is refused.

        Args:
            tenant_id: In whose name.
            method: The HTTP method.
            url: The whole address.
            options: As for httpx (`json`, `headers`).

        Returns:
            A successful answer.

        Raises:
            TokenRejected: The provider refused a fresh token too.
            MeshError: What the answer means; see `raise_for`.
        """
        token, _ = await self._tokens.borrow(tenant_id)
        try:
            return await self._once(token, method, url, **options)
        except TokenRejectedError:
            token, _ = await self._tokens.borrow(tenant_id, rejected=token)
        try:
            return await self._once(token, method, url, **options)
        except TokenRejectedError as exc:
            raise TokenRejected(subject=tenant_id, metadata={"tenant_id": tenant_id}) from exc

    async def _once(self, token: Secret, method: str, url: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token.reveal()}", **options.pop("headers", {})}
        try:
            response = await self._http.request(method, url, headers=headers, timeout=CALL_SECONDS, **options)
        except httpx.HTTPError as exc:
            raise unreachable(self._provider) from exc
        raise_for(self._provider, response)
        return response
