"""One lease on one mailbox, with everything that processing its mail needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED
from services.processor.mail.commit import MailCommitter, Observation
from services.processor.mail.coverage import Coverage
from services.processor.mail.sources.findings import Failed, Fetched
from services.processor.mail.state import ReportedChange
from services.processor.mailbox.failures import classify
from services.processor.mailbox.lease import Lease
from services.processor.mailbox.store.mailboxes import FencedError, Mailbox
from services.processor.mailbox.transaction import AlsoCommitted, Transactions
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)


class Source(Protocol):
    """What both providers' mailboxes can do."""

    async def fetch(self, message_ids: Sequence[str]) -> Fetched:
        """Looks for messages."""


@dataclass
class MailboxContext:
    """One lease on one mailbox, and all that belongs to it.

    Args:
        lease: The lease.
        mailbox: The mailbox's row as it was when the lease began.
        tenant: Whose mailbox.
        coverage: What is watched.
        transactions: The process's fenced transactions.
        committer: Commits what was found.
        settings: Bounds and waits.
        clock: The time.
    """

    lease: Lease
    mailbox: Mailbox
    tenant: tenant_pb2.Tenant
    coverage: Coverage
    transactions: Transactions
    committer: MailCommitter
    settings: ProcessorSettings
    clock: Clock

    @property
    def tenant_id(self) -> str:
        """Whose mailbox."""
        return self.tenant.tenant_id

    async def commit(self, observations: Sequence[Observation], also: AlsoCommitted | None = None) -> int:
        """Commits what was found; see `MailCommitter.commit`.

        A message that makes our own code fail is found out by committing each alone, and goes out without its content:
        it takes down neither its neighbours nor the cursor.
        """
        try:
            return await self._committed(observations, also)
        except (MeshError, OSError, FencedError):
            raise
        except Exception:
            if not observations:
                raise
            UNEXPECTED.labels("commit").inc()
            logger.exception("messages not committed together", tenant_id=self.tenant_id, messages=len(observations))
        published = [await self._committed_alone(observation) for observation in observations]
        return sum(published) + await self._committed((), also)

    async def _committed(self, observations: Sequence[Observation], also: AlsoCommitted | None) -> int:
        return await self.committer.commit(self.tenant, self.lease.fence, observations, self.coverage, also)

    async def _committed_alone(self, observation: Observation) -> int:
        try:
            return await self._committed([observation], None)
        except (MeshError, OSError, FencedError):
            raise
        except Exception as exc:
            error_id = new_id()
            UNEXPECTED.labels("message").inc()
            logger.exception("message not committed", tenant_id=self.tenant_id, error_id=error_id)
            error = classify(self.tenant.provider, 422, [f"{type(exc).__name__} {error_id}"])
            return await self._committed([Observation(observation.reported, Failed(error))], None)

    async def note(self, also: AlsoCommitted) -> None:
        """Commits something else under the fence."""
        async with self.transactions.fenced(self.tenant_id, self.lease.fence) as connection:
            await also(connection)

    async def fetch_and_commit(
        self, source: Source, changes: Sequence[ReportedChange], also: AlsoCommitted | None = None
    ) -> Fetched:
        """Fetches messages and commits what was found.

        Args:
            source: The mailbox at its provider.
            changes: One for each message.
            also: Committed with them, only when all were found out about.

        Returns:
            What was found, and the trouble that kept the rest from being found.
        """
        fetched = await source.fetch([reported.message_id for reported in changes]) if changes else Fetched({})
        observations = [
            Observation(reported, fetched.findings[reported.message_id])
            for reported in changes
            if reported.message_id in fetched.findings
        ]
        await self.commit(observations, also if fetched.trouble is None else None)
        return fetched

    async def fetch_and_commit_all(
        self, source: Source, changes: Sequence[ReportedChange], also: AlsoCommitted | None = None
    ) -> None:
        """As `fetch_and_commit`, and raises the trouble as `SourceError`; what was found before it is committed."""
        fetched = await self.fetch_and_commit(source, changes, also)
        if fetched.trouble is not None:
            raise fetched.trouble
