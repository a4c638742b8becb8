"""Access tokens of agents at `/mcp`: each stands for the key of its person.

The token ends here: the door of agents gets a pass in its place (Model Context Protocol, Authorization: a server must
not pass a token on).
"""

import asyncio
import hashlib
from datetime import timedelta

from services.meshkit.cache import BoundedCache
from services.meshkit.clock import Clock
from services.token_vault.errors import IdentityUnproven, ProviderUnavailable
from services.token_vault.sign_in.errors import AccessTokenInvalid
from services.token_vault.sign_in.people import People
from services.token_vault.sign_in.provider import NAME, IdentityProvider, Person
from services.token_vault.store.api_keys import ApiKeyRow

WAIT_SECONDS = 1.5
"""The longest wait for the provider's keys. The edge waits two seconds for the whole check."""
_CACHED = 10_000


class AgentTokens:
    """Finds the key of a presented access token. A bounded cache keeps the answers for seconds.

    Args:
        provider: Verifies tokens.
        people: Finds the person's key.
        audience: The audience that a token must name. Not empty.
        clock: The time.
        keep: How long an answer may be reused.
    """

    def __init__(
        self, provider: IdentityProvider, people: People, audience: str, clock: Clock, keep: timedelta
    ) -> None:
        self._provider = provider
        self._people = people
        self._audience = audience
        self._clock = clock
        self._cache: BoundedCache[bytes, ApiKeyRow] = BoundedCache(_CACHED, keep.total_seconds(), clock.monotonic)

    async def authenticate(self, token: str) -> ApiKeyRow:
        """Verify a token, and return the key that stands for its person.

        Raises:
            AccessTokenInvalid: The token fails a check, which the metadata names.
            SignInNotAllowed: No group of the person has rights.
            ProviderUnavailable, ProviderThrottled: The provider's keys could not be fetched in time.
            StoreUnavailable: The database did not answer.
        """
        digest = hashlib.sha256(token.encode()).digest()
        found = self._cache.get(digest)
        if found is None:
            read_at = self._clock.monotonic()
            found = await self._people.key_of(await self._person(token))
            self._cache.put(digest, found, read_at)
        return found

    async def _person(self, token: str) -> Person:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await self._provider.bearer(token, self._audience)
        except TimeoutError as exc:
            raise ProviderUnavailable(metadata={"provider": NAME}) from exc
        except IdentityUnproven as exc:
            raise AccessTokenInvalid(metadata={"detail": exc.metadata["detail"]}) from exc
