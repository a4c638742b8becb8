"""Tenants with sealed content in tests, whose keys a stand-in of TokenVault lends."""

from mailmesh.processor.v1 import sealing_service_pb2 as pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.processor.search.store.settings import is_indexed
from services.processor.stream.contents import CONTENTS
from services.processor.stream.key_follower import KeyFollower
from services.processor.stream.sealing import SealingChoice
from services.processor.stream.store import tenants
from tests.store.processor.gates import ContentKeys


class Sealed:
    """Sealing in a test's database.

    Args:
        pool: Connections, as Processor's role.
        keys: TokenVault's keys.
    """

    def __init__(self, pool: db.Pool, keys: ContentKeys | None = None) -> None:
        self.pool = pool
        self.keys = keys or ContentKeys()
        self.follower = KeyFollower(pool, self.keys)  # type: ignore[arg-type] # the two calls of a stub
        self.choice = SealingChoice(pool, self.keys, self.follower, is_indexed)  # type: ignore[arg-type]

    async def connect(self, *tenant_ids: str) -> None:
        """Add tenants, unless they are there."""
        async with db.transaction(self.pool) as connection:
            for tenant_id in tenant_ids:
                if await tenants.granted(connection, tenant_id) is None:
                    tenant = tenant_pb2.Tenant(tenant_id=tenant_id, provider="ms365")
                    await tenants.save(connection, tenant, "active", SystemClock().now())

    async def enable(self, tenant_id: str, *, is_enabled: bool = True) -> None:
        """Enable or disable sealing as long ago as it takes to be in force."""
        await self.connect(tenant_id)
        await self.choice.update(tenant_id, pb2.SealingSettings(is_enabled=is_enabled), None)
        await self.pool.execute(
            "UPDATE processor.sealed_tenants SET enabled_at = enabled_at - interval '5 minutes', version = version + 1"
            " WHERE tenant_id = $1",
            tenant_id,
        )
        await self.follower.round()

    @staticmethod
    def forget() -> None:
        """Forget all keys, as a process does that starts."""
        CONTENTS.know(())
