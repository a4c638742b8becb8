"""The outbox's access to one mailbox: within the quota that it shares with mail, and with lost rights reported."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.provider_http import JSON, ProviderHttp, StreamedAnswer
from services.processor.mailbox.token_cache import TokenCache
from services.providers.abilities import MAIL_SEND
from services.providers.failures import Meaning
from services.providers.names import GOOGLEWS

TakeUnits = Callable[[str, int], Awaitable[None]]
"""Takes quota units of a Gmail mailbox: the tenant and the units."""
_UNITS = {"send": 100, "send_draft": 10, "send_discard": 10, "send_history": 2, "send_profile": 1, "send_identities": 1}
_UNITS_OF_A_READ = 20
"""Google's quota units of each request, by its table for new projects."""


class SendingAccess(MailboxAccess):
    """Calls a provider to send from one mailbox.

    Args:
        http: The process's connections to the providers.
        tokens: The process's tokens.
        tenant_id: The id of the mailbox's tenant.
        provider: "ms365" or "googlews".
        take_units: Takes quota units, at Gmail.
    """

    def __init__(
        self, http: ProviderHttp, tokens: TokenCache, tenant_id: str, provider: str, take_units: TakeUnits
    ) -> None:
        super().__init__(http, tokens, tenant_id, provider, 1, MAIL_SEND)
        self._take_units = take_units

    @asynccontextmanager
    async def stream(self, operation: str, url: str, **request: Any) -> AsyncIterator[StreamedAnswer]:
        """See `MailboxAccess.stream`."""
        if self.provider == GOOGLEWS:
            await self._take_units(self.tenant_id, _UNITS_OF_A_READ)
        async with super().stream(operation, url, **request) as answer:
            yield answer

    async def call(self, operation: str, url: str, *, slots: int = 1, **request: Any) -> JSON:
        """See `MailboxAccess.call`. A second token that is refused is the tenant's fault, and is reported."""
        if self.provider == GOOGLEWS:
            await self._take_units(self.tenant_id, _UNITS.get(operation, _UNITS_OF_A_READ))
        try:
            return await super().call(operation, url, slots=slots, **request)
        except SourceError as exc:
            if exc.meaning is Meaning.TOKEN_REJECTED:
                await self._tokens.report(self.tenant_id, exc)
            raise
