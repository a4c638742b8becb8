"""Refreshing in the background, before anybody has to wait for it, in as many processes as there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import structlog

from services.meshkit.clock import Clock
from services.meshkit.db import Database, store_errors
from services.meshkit.errors import MeshError
from services.meshkit.loops import for_each
from services.token_vault.errors import SealBroken
from services.token_vault.store.tokens import Credential, claim_due
from services.token_vault.tokens.broken_seals import report_broken_seal
from services.token_vault.tokens.refresh import Refresher

logger = structlog.get_logger(__name__)

_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class RefreshAhead:
    """Works off what falls due.

    Args:
        pool: Connections.
        database: For saying that a seal is broken.
        refresher: Does it.
        clock: The time.
        process_id: Who claims.
        lease: How long a claim holds.
        at_once: Refreshes at the same time; as many are claimed in a round, so memory is bounded by it.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    database: Database
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
        with store_errors():
            due: Sequence[Credential] = await claim_due(
                self.pool, self.process_id, self.clock.now(), self.lease, self.at_once, _WAIT_SECONDS
            )
        await for_each(due, self._refresh, at_once=self.at_once)
        return len(due)

    async def _refresh(self, credential: Credential) -> None:
        try:
            await self.refresher.finish(credential)
        except SealBroken:
            await report_broken_seal(self.database, self.clock, credential.tenant.tenant_id)
        except MeshError as exc:
            # It is written down with the claim's end, when to try again too; the others of the round go on.
            logger.info("refresh is put off", tenant_id=credential.tenant.tenant_id, reason=exc.reason)
