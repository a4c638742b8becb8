"""What work on one mailbox needs at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED
from services.processor.mail.commit import AlsoCommitted, Commits, Sighting
from services.processor.mail.coverage import Coverage
from services.processor.mail.sources.findings import Failed, Fetched
from services.processor.mail.state import Hint
from services.processor.mailbox.failures import classify
from services.processor.mailbox.lease import Hold
from services.processor.mailbox.store.mailboxes import FencedError, Mailbox
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)


class Source(Protocol):
    """What both providers' mailboxes can do."""

    async def fetch(self, message_ids: Sequence[str]) -> Fetched:
        """Looks for messages."""


@dataclass
class MailboxContext:
    """One hold on one mailbox, and all that belongs to it.

    Args:
        hold: The lease.
        mailbox: The mailbox's row as it was when the hold began.
        tenant: Whose mailbox.
        coverage: What is watched.
        commits: Where results go.
        settings: Bounds and waits.
        clock: The time.
    """

    hold: Hold
    mailbox: Mailbox
    tenant: tenant_pb2.Tenant
    coverage: Coverage
    commits: Commits
    settings: ProcessorSettings
    clock: Clock

    @property
    def tenant_id(self) -> str:
        """Whose mailbox."""
        return self.tenant.tenant_id

    async def commit(self, sightings: Sequence[Sighting], also: AlsoCommitted | None = None) -> int:
        """Commits what was found; see `Commits.messages`.

        A message that makes our own code fail is found out by committing each alone, and goes out without its content:
        it takes down neither its neighbours nor the cursor.
        """
        try:
            return await self._committed(sightings, also)
        except (MeshError, OSError, FencedError):
            raise
        except Exception:
            if not sightings:
                raise
            UNEXPECTED.labels("commit").inc()
            logger.exception("messages not committed together", tenant_id=self.tenant_id, messages=len(sightings))
        published = [await self._committed_alone(sighting) for sighting in sightings]
        return sum(published) + await self._committed((), also)

    async def _committed(self, sightings: Sequence[Sighting], also: AlsoCommitted | None) -> int:
        return await self.commits.messages(self.tenant, self.hold.fence, sightings, self.coverage, also)

    async def _committed_alone(self, sighting: Sighting) -> int:
        try:
            return await self._committed([sighting], None)
        except (MeshError, OSError, FencedError):
            raise
        except Exception as exc:
            error_id = new_id()
            UNEXPECTED.labels("message").inc()
            logger.exception("message not committed", tenant_id=self.tenant_id, error_id=error_id)
            error = classify(self.tenant.provider, 422, [f"{type(exc).__name__} {error_id}"])
            return await self._committed([Sighting(sighting.hint, Failed(error))], None)

    async def note(self, also: AlsoCommitted) -> None:
        """Commits something else under the fence."""
        async with self.commits.holding(self.tenant_id, self.hold.fence) as connection:
            await also(connection)

    async def look(self, source: Source, hints: Sequence[Hint], also: AlsoCommitted | None = None) -> Fetched:
        """Fetches messages and commits what was found.

        Args:
            source: The mailbox at its provider.
            hints: One for each message.
            also: Committed with them, only when all were found out about.

        Returns:
            What was found, and the trouble that kept the rest from being found.
        """
        fetched = await source.fetch([hint.message_id for hint in hints]) if hints else Fetched({})
        sightings = [
            Sighting(hint, fetched.findings[hint.message_id]) for hint in hints if hint.message_id in fetched.findings
        ]
        await self.commit(sightings, also if fetched.trouble is None else None)
        return fetched

    async def look_at_all(self, source: Source, hints: Sequence[Hint], also: AlsoCommitted | None = None) -> None:
        """As `look`, and raises the trouble as `SourceError`; what was found before it is committed."""
        fetched = await self.look(source, hints, also)
        if fetched.trouble is not None:
            raise fetched.trouble
