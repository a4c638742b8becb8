"""One lease on one mailbox, with everything that processing its mail needs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
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
from services.processor.mailbox.store import row_changes
from services.processor.mailbox.store.mailboxes import FencedError, Mailbox
from services.processor.mailbox.store.row_changes import RowChange
from services.processor.mailbox.transaction import AlsoCommitted, Transactions
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)


class Source(Protocol):
    """The operations that both providers' mailboxes have."""

    async def fetch(self, message_ids: Sequence[str]) -> Fetched:
        """Fetch messages."""


@dataclass
class MailboxContext:
    """One lease on one mailbox, with everything that belongs to it.

    Args:
        lease: The lease.
        mailbox: The mailbox's row, as it was at the beginning of the lease and as this lease has changed it.
        tenant: The mailbox's tenant.
        coverage: The coverage of the tenant's subscriptions.
        transactions: The process's fenced transactions.
        committer: Commits observations.
        settings: Bounds and waits.
        clock: The time.
        has_progress: Whether this lease has committed what it fetched of any message.
    """

    lease: Lease
    mailbox: Mailbox
    tenant: tenant_pb2.Tenant
    coverage: Coverage
    transactions: Transactions
    committer: MailCommitter
    settings: ProcessorSettings
    clock: Clock
    has_progress: bool = False

    @property
    def tenant_id(self) -> str:
        """The id of the mailbox's tenant."""
        return self.tenant.tenant_id

    async def commit(self, observations: Sequence[Observation], also: AlsoCommitted | None = None) -> int:
        """Commit observations; see `MailCommitter.commit`.

        When our own code fails on a message, each is committed alone, and the one that fails is announced without its
        content: it stops neither its neighbours nor the cursor.
        """
        self.has_progress |= bool(observations)
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

    async def change(self, change: RowChange) -> None:
        """Commit a change of the mailbox's row under the fence."""
        async with self.transactions.alone() as connection:
            await row_changes.save(connection, self.tenant_id, self.lease.fence, change)

    async def note(self, write: Callable[[db.Connection], Awaitable[None]]) -> None:
        """Commit other writes under the fence."""
        async with self.transactions.fenced(self.tenant_id, self.lease.fence) as connection:
            await write(connection)

    async def fetch_and_commit(self, source: Source, changes: Sequence[ReportedChange]) -> Fetched:
        """Fetch messages and commit the results.

        Args:
            source: The mailbox at its provider.
            changes: One for each message.

        Returns:
            The results, and the failure that kept the provider from answering about the rest.
        """
        fetched = await source.fetch([reported.message_id for reported in changes]) if changes else Fetched({})
        observations = [
            Observation(reported, fetched.findings[reported.message_id])
            for reported in changes
            if reported.message_id in fetched.findings
        ]
        await self.commit(observations)
        return fetched

    async def fetch_and_commit_all(self, source: Source, changes: Sequence[ReportedChange]) -> None:
        """Like `fetch_and_commit`, but raise the failure as `SourceError`; results from before it are committed."""
        fetched = await self.fetch_and_commit(source, changes)
        if fetched.failure is not None:
            raise fetched.failure
