"""Authenticate API keys, many times a second."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.meshkit import db
from services.meshkit.cache import BoundedCache
from services.meshkit.clock import Clock
from services.meshkit.errors import ApiKeyInvalid
from services.token_vault.api_access.api_keys import SHAPE
from services.token_vault.store import api_keys
from services.token_vault.store.api_keys import ApiKeyRow

_CACHED = 10_000
_NOTED_AT_ONCE = 1000


@dataclass(frozen=True)
class _Found:
    """The table's answer for a prefix. A prefix without a row is an answer too, and is cached like any other."""

    row: ApiKeyRow | None


class ApiKeyAuthenticator:
    """Finds the stored key of a presented one. A bounded cache keeps the answers for seconds.

    Args:
        pool: Connections to the database.
        clock: The time.
        keep: How long an answer may be reused.
    """

    def __init__(self, pool: db.Pool, clock: Clock, keep: timedelta) -> None:
        self._pool = pool
        self._clock = clock
        self._cache: BoundedCache[str, _Found] = BoundedCache(_CACHED, keep.total_seconds(), clock.monotonic)
        self._used: dict[str, datetime] = {}

    async def authenticate(self, key: str) -> ApiKeyRow:
        """Find the key.

        Raises:
            ApiKeyInvalid: The key is malformed, unknown, expired or revoked; the failure does not say which.
            StoreUnavailable: The database did not answer.
        """
        shape = SHAPE.fullmatch(key)
        row = await self._found(shape[1]) if shape else None
        is_same = hmac.compare_digest(hashlib.sha256(key.encode()).digest(), row.digest if row else b"")
        now = self._clock.now()
        if row is None or not is_same or not row.is_good(now):
            raise ApiKeyInvalid
        self._used[row.api_key_id] = now
        return row

    async def note_used(self) -> int:
        """Store the times of last use that have come in since the previous call. For a loop."""
        noted = {key_id: self._used[key_id] for key_id in list(self._used)[:_NOTED_AT_ONCE]}
        if noted:
            async with db.transaction(self._pool) as connection:
                await api_keys.note_used(connection, noted)
        self._used = {key_id: at for key_id, at in self._used.items() if noted.get(key_id) != at}
        return 0

    async def _found(self, prefix: str) -> ApiKeyRow | None:
        found = self._cache.get(prefix)
        if found is None:
            read_at = self._clock.monotonic()
            async with db.connection(self._pool) as connection:
                found = _Found(await api_keys.find_prefix(connection, prefix))
            self._cache.put(prefix, found, read_at)
        return found.row
