"""Refreshing in the background, before anybody has to wait for it, in as many processes as there are."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.loops import for_each
from services.token_vault.errors import SealBroken
from services.token_vault.store.credentials import Credential, claim_due
from services.token_vault.tokens.broken_seals import report_broken_seal
from services.token_vault.tokens.refresh import Refresher

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RefreshAhead:
    """Works off what falls due.

    Args:
        lending_pool: For claiming what is due.
        pool: For saying that a seal is broken.
        refresher: Does it.
        clock: The time.
        process_id: Who claims.
        lease: How long a claim holds.
        at_once: Refreshes at the same time; as many are claimed in a round, so memory is bounded by it.
    """

    lending_pool: db.Pool
    pool: db.Pool
    refresher: Refresher
    clock: Clock
    process_id: str
    lease: timedelta
    at_once: int

    async def round(self) -> int:
        """Does one round.

        Returns:
            How many refreshes were tried.
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
            # It is written down with the claim's end, when to try again too; the others of the round go on.
            logger.info("refresh is put off", tenant_id=credential.tenant.tenant_id, reason=exc.reason)
