"""One mailbox at its provider: the token, one retry with another token, and the bound on concurrent requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from services.processor.mailbox.app_only import self_addressed
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.provider_http import JSON, ProviderHttp, StreamedAnswer
from services.processor.mailbox.token_cache import LentToken, TokenCache
from services.providers.abilities import MAIL_READ

_Answer = TypeVar("_Answer")


class MailboxAccess:
    """Calls a provider on behalf of one mailbox.

    The bound on concurrent requests holds for the mailbox as a whole: only the worker that holds its lease processes
    it, and that worker makes one `MailboxAccess` for it.

    Args:
        http: The process's connections to the providers.
        tokens: The process's tokens.
        tenant_id: The id of the mailbox's tenant.
        provider: "ms365" or "googlews".
        at_once: The largest number of requests at the same time.
        ability: The ability for which it needs its tokens.
    """

    def __init__(
        self,
        http: ProviderHttp,
        tokens: TokenCache,
        tenant_id: str,
        provider: str,
        at_once: int,
        ability: str = MAIL_READ,
    ) -> None:
        self.tenant_id = tenant_id
        self.provider = provider
        self._http = http
        self._tokens = tokens
        self._at_once = at_once
        self._ability = ability
        self._slots = asyncio.Semaphore(at_once)
        self._whole = asyncio.Lock()

    async def lent(self) -> LentToken:
        """Return the token and the tenant.

        Raises:
            SourceError: TokenVault lends no token.
        """
        return await self._tokens.of(self.tenant_id, self._ability)

    async def call(self, operation: str, url: str, *, slots: int = 1, **request: Any) -> JSON:
        """Make one request; after a 401, ask for another token and retry once.

        Args:
            operation: The operation's name for metrics.
            url: The complete URL.
            slots: The number of the mailbox's requests that it counts as: the provider runs the requests of a batch at
                once.
            request: The arguments of `ProviderHttp.call`: params, headers, body, method.

        Raises:
            SourceError: Any failure, classified by the table of failures.
        """
        return await self._with_tokens(self._http.call, operation, url, slots, request)

    async def fetch(self, operation: str, url: str, *, slots: int = 1, **request: Any) -> JSON | bytes:
        """Make one request for mail; a long answer is returned as it came. See `call` and `ProviderHttp.fetch`."""
        return await self._with_tokens(self._http.fetch, operation, url, slots, request)

    async def _with_tokens(
        self,
        ask: Callable[..., Awaitable[_Answer]],
        operation: str,
        url: str,
        slots: int,
        request: dict[str, Any],
    ) -> _Answer:
        method = request.pop("method", "GET")
        async with self._holding(min(slots, self._at_once)):
            lent = await self.lent()
            url, request = self_addressed(lent.tenant, url, request)
            try:
                return await ask(self.provider, operation, method, url, lent.token, **request)
            except SourceError as exc:
                if exc.remedy is not Remedy.NEW_TOKEN:
                    raise
            other = await self._tokens.another(self.tenant_id, lent.token, self._ability)
            url, request = self_addressed(other.tenant, url, request)
            return await ask(self.provider, operation, method, url, other.token, **request)

    async def upload(self, operation: str, url: str, **request: Any) -> JSON:
        """Send one piece of a file to a URL that the provider gave out for it; the URL is the secret, without a token.

        Args:
            operation: The operation's name for metrics.
            url: The complete URL.
            request: The arguments of `ProviderHttp.call`: headers, content, success.

        Raises:
            SourceError: Any failure, classified by the table of failures.
        """
        async with self._holding(1):
            return await self._http.call(self.provider, operation, "PUT", url, None, **request)

    @asynccontextmanager
    async def stream(self, operation: str, url: str, **request: Any) -> AsyncIterator[StreamedAnswer]:
        """Read an answer of any size; after a 401, ask for another token and retry once.

        Args:
            operation: The operation's name for metrics.
            url: The complete URL.
            request: The arguments of `ProviderHttp.stream`: params, headers.

        Raises:
            SourceError: Any failure, classified by the table of failures.
        """
        async with self._holding(1), AsyncExitStack() as stack:
            lent = await self.lent()
            url, request = self_addressed(lent.tenant, url, request)
            try:
                answer = await stack.enter_async_context(
                    self._http.stream(self.provider, operation, url, lent.token, **request)
                )
            except SourceError as exc:
                if exc.remedy is not Remedy.NEW_TOKEN:
                    raise
                other = await self._tokens.another(self.tenant_id, lent.token, self._ability)
                answer = await stack.enter_async_context(
                    self._http.stream(self.provider, operation, url, other.token, **request)
                )
            yield answer

    @asynccontextmanager
    async def _holding(self, slots: int) -> AsyncIterator[None]:
        taken = 0
        try:
            # One caller at a time takes several slots; otherwise two would wait for each other's.
            async with self._whole:
                while taken < slots:
                    await self._slots.acquire()
                    taken += 1
            yield
        finally:
            for _ in range(taken):
                self._slots.release()
