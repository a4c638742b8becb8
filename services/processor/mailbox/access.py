"""One mailbox at its provider: the token, the one retry with another token, and the bound on requests at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.provider_http import JSON, ProviderHttp
from services.processor.mailbox.token_cache import LentToken, TokenCache


class MailboxAccess:
    """Calls a provider on behalf of one mailbox.

    The bound on requests at once holds for the mailbox as a whole: a mailbox is worked by the one worker that holds its
    lease, and that worker makes one `MailboxAccess` for it.

    Args:
        http: The process's connections.
        tokens: The process's tokens.
        tenant_id: Whose mailbox.
        provider: "ms365" or "googlews".
        at_once: Requests at the same time.
    """

    def __init__(self, http: ProviderHttp, tokens: TokenCache, tenant_id: str, provider: str, at_once: int) -> None:
        self.tenant_id = tenant_id
        self.provider = provider
        self._http = http
        self._tokens = tokens
        self._at_once = at_once
        self._slots = asyncio.Semaphore(at_once)
        self._whole = asyncio.Lock()

    async def lent(self) -> LentToken:
        """The token and the tenant.

        Raises:
            SourceError: TokenVault lends none.
        """
        return await self._tokens.of(self.tenant_id)

    async def call(self, operation: str, url: str, *, slots: int = 1, **request: Any) -> JSON:
        """Makes one request; a 401 asks for another token and tries once more.

        Args:
            operation: For metrics.
            url: Whole.
            slots: How many of the mailbox's requests it stands for: what a batch holds runs at once at the provider.
            request: As for `ProviderHttp.call`: params, headers, body, method.

        Raises:
            SourceError: As the table of failures has it.
        """
        method = request.pop("method", "GET")
        async with self._holding(min(slots, self._at_once)):
            lent = await self.lent()
            try:
                return await self._http.call(self.provider, operation, method, url, lent.token, **request)
            except SourceError as exc:
                if exc.remedy is not Remedy.NEW_TOKEN:
                    raise
            other = await self._tokens.another(self.tenant_id, lent.token)
            return await self._http.call(self.provider, operation, method, url, other.token, **request)

    @asynccontextmanager
    async def _holding(self, slots: int) -> AsyncIterator[None]:
        taken = 0
        try:
            # Taking several is done by one at a time, or two would wait for each other's.
            async with self._whole:
                while taken < slots:
                    await self._slots.acquire()
                    taken += 1
            yield
        finally:
            for _ in range(taken):
                self._slots.release()
