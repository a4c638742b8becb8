"""Check that the API key of a stream is still valid, and the browser's session that stood for it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.cache import BoundedCache
from services.meshkit.errors import MeshError, ServiceUnavailable
from services.processor.stream.errors import KeyRevoked

CHECK_SECONDS = 20.0
"""The largest age of an answer, in seconds."""
TRUST_SECONDS = 50.0
"""How long a stream continues while TokenVault does not answer, in seconds."""
_CALL_SECONDS = 5.0
_MAX_KEYS = 10_000


@dataclass
class _Known:
    checked_at: float
    expires_at: datetime | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeyChecks:
    """Asks TokenVault about keys, once for all streams of a key.

    Args:
        vault: TokenVault.
        monotonic: A monotonic clock, in seconds.
    """

    def __init__(self, vault: TokenVaultServiceAsyncStub, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._vault = vault
        self._monotonic = monotonic
        self._known: BoundedCache[tuple[str, str], _Known] = BoundedCache(_MAX_KEYS)

    async def check(self, key_id: str, session_id: str = "") -> None:
        """Make sure that a key was valid within the last minute, and so was the session that stood for it.

        Args:
            key_id: The id of the key that opened the stream; the edge checked it at that time.
            session_id: The id of the session, empty without one.

        Raises:
            KeyRevoked: The key was revoked, or it has expired; or the session was ended.
            ServiceUnavailable: TokenVault has not answered for longer than a key is trusted without it.
        """
        known = self._of((key_id, session_id))
        async with known.lock:
            if self._monotonic() - known.checked_at >= CHECK_SECONDS:
                await self._ask(key_id, session_id, known)
        if known.expires_at is not None and known.expires_at <= datetime.now(UTC):
            raise KeyRevoked

    async def _ask(self, key_id: str, session_id: str, known: _Known) -> None:
        asked = vault_pb2.CheckApiKeyRequest(api_key_id=key_id, session_id=session_id)
        try:
            answer = await self._vault.CheckApiKey(asked, timeout=_CALL_SECONDS)
        except MeshError as exc:
            if exc.reason == KeyRevoked.reason:
                self._known.discard((key_id, session_id))
                raise KeyRevoked from exc
            if self._monotonic() - known.checked_at < TRUST_SECONDS:
                return
            raise ServiceUnavailable(metadata={"service": "token-vault"}) from exc
        known.checked_at = self._monotonic()
        known.expires_at = answer.expires_at.ToDatetime(UTC) if answer.HasField("expires_at") else None

    def _of(self, key: tuple[str, str]) -> _Known:
        """Return the key's last answer. A key that opens its first stream was checked by the edge just now."""
        known = self._known.get(key)
        if known is None:
            known = _Known(self._monotonic())
            self._known.put(key, known)
        return known
