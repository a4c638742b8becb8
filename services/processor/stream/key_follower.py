"""Keep the content keys of sealed tenants in a process: read the list of tenants, and fetch missing keys."""

import asyncio
import time

import structlog

from mailmesh.vault.v1 import content_key_service_pb2 as vault_pb2
from mailmesh.vault.v1.content_key_service_pb2_grpc import ContentKeyServiceAsyncStub
from services.meshkit import db
from services.meshkit.errors import MeshError
from services.processor.stream.contents import CONTENTS, Contents
from services.processor.stream.errors import SealBroken
from services.processor.stream.store import sealed_tenants

logger = structlog.get_logger(__name__)

_CALL_SECONDS = 10.0
_PAGE = 500
_REFUSED_SECONDS = 30.0
"""The time after which TokenVault is asked again for keys that did not open."""


class KeyFollower:
    """Follows the list of sealed tenants; for a periodic loop.

    Args:
        pool: Connections to PostgreSQL.
        stub: The client of TokenVault.
        contents: The keys of this process.
    """

    def __init__(self, pool: db.Pool, stub: ContentKeyServiceAsyncStub, contents: Contents = CONTENTS) -> None:
        self._pool = pool
        self._stub = stub
        self._contents = contents
        self._summary: tuple[int, str] | None = None
        self._refused_until: dict[str, float] = {}
        self._following, self._fetching = asyncio.Lock(), asyncio.Lock()

    async def start(self) -> None:
        """Read the list and fetch the keys, before the process stores or reads content. TokenVault may be away.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached.
        """
        try:
            while await self.round():
                pass
        except MeshError as exc:
            if self._summary is None:
                raise
            logger.warning("content keys not fetched yet", error=exc.reason)

    async def round(self) -> int:
        """Read the list if it has changed, and fetch missing keys; return the number of fetched ones.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached.
            MeshError: TokenVault lends no keys now.
        """
        await self.follow()
        return await self.fetch()

    async def follow(self) -> int:
        """Read the list if it has changed; return 0. It never waits for TokenVault, however long that is away.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached.
        """
        async with self._following, db.connection(self._pool) as connection:
            summary = await sealed_tenants.summary(connection)
            if summary != self._summary:
                self._contents.know(await sealed_tenants.all_of(connection))
                self._summary = summary
        return 0

    async def fetch(self) -> int:
        """Fetch missing keys of the list that was read; return the number of fetched ones.

        Raises:
            MeshError: TokenVault lends no keys now.
        """
        async with self._fetching:
            now = time.monotonic()
            self._refused_until = {one: until for one, until in self._refused_until.items() if until > now}
            wanted = [one for one in self._contents.missing() if one not in self._refused_until][:_PAGE]
            return await self._fetch(wanted) if wanted else 0

    async def _fetch(self, tenant_ids: list[str]) -> int:
        request = vault_pb2.LendContentKeysRequest(tenant_ids=tenant_ids)
        lent = (await self._stub.LendContentKeys(request, timeout=_CALL_SECONDS)).content_keys
        fetched = 0
        for one in lent:
            if one.key:
                self._contents.put(one.tenant_id, one.content_key_id, one.key)
                fetched += 1
            else:
                self._refuse(one.tenant_id, is_lasting=one.reason == SealBroken.reason)
                logger.error("content key not lent", tenant_id=one.tenant_id, reason=one.reason)
        for tenant_id in set(tenant_ids) - {one.tenant_id for one in lent}:
            self._refuse(tenant_id, is_lasting=True)
            logger.warning("tenant has no content key", tenant_id=tenant_id)
        return fetched

    def _refuse(self, tenant_id: str, *, is_lasting: bool) -> None:
        """Note that a key was not lent. It is asked for again: an operator may bring it back.

        Args:
            tenant_id: Its tenant.
            is_lasting: Whether it is destroyed or altered, so that readers of all tenants must not wait for it. One
                whose key-encryption key is not loaded opens once that is.
        """
        self._refused_until[tenant_id] = time.monotonic() + _REFUSED_SECONDS
        if is_lasting:
            self._contents.note_destroyed(tenant_id)
