"""Refresh tokens in the background, before a caller has to wait for one, in any number of processes."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.loops import for_each
from services.token_vault.keys.errors import SealBroken
from services.token_vault.store.credentials import Credential, claim_due
from services.token_vault.tokens.broken_seals import report_broken_seal
from services.token_vault.tokens.refresh import Refresher

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RefreshAhead:
    """Refreshes the tokens that are due.

    Args:
        lending_pool: For claiming due refreshes.
        pool: For recording a broken seal.
        refresher: Refreshes a claimed token.
        clock: The time.
        process_id: Owner of the claims.
        lease: How long a claim holds.
        at_once: Concurrent refreshes. A round claims as many, which bounds the memory.
    """

    lending_pool: db.Pool
    pool: db.Pool
    refresher: Refresher
    clock: Clock
    process_id: str
    lease: timedelta
    at_once: int

    async def round(self) -> int:
        """Run one round.

        Returns:
            The number of attempted refreshes.
        """
        async with db.connection(self.lending_pool) as connection:
            due = await claim_due(connection, self.process_id, self.clock.now(), self.lease, self.at_once)
        await for_each(due, self._refresh, at_once=self.at_once)
        return len(due)

    async def _refresh(self, credential: Credential) -> None:
        try:
            await self.refresher.finish(credential)
        except SealBroken:
            await report_broken_seal(self.pool, self.clock, credential.tenant.tenant_id)
        except MeshError as exc:
            # The end of the claim records the failure and the time of the retry; the round's other refreshes continue.
            logger.info("refresh postponed", tenant_id=credential.tenant.tenant_id, reason=exc.reason)
