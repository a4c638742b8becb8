"""What is done when a whole mailbox cannot be worked: the remedy that the table of failures has, for each item."""

from datetime import UTC, datetime, timedelta

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.meshkit.clock import Clock
from services.processor.connection import Connection
from services.processor.mail.commit import Commits, Sighting
from services.processor.mail.context import MailboxContext
from services.processor.mail.decide import Patience
from services.processor.mail.graph_notifications import hints_of
from services.processor.mail.sources.findings import Failed
from services.processor.mail.state import Hint
from services.processor.mail.store import lookups
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.inbox_client import GivenBack
from services.processor.mailbox.lease import Hold
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.token_cache import Tokens
from services.processor.metrics import FAILURES
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)

_PERSON_WAIT = timedelta(seconds=60)
_THROTTLE_WAIT = timedelta(seconds=5)


class Trouble:
    """Gives items back as the failure asks for, and lets go out without content what has waited long enough.

    Args:
        commits: Where results go.
        tokens: Through which TokenVault is told.
        settings: Bounds and waits.
        clock: The time.
    """

    def __init__(self, commits: Commits, tokens: Tokens, settings: ProcessorSettings, clock: Clock) -> None:
        self._commits = commits
        self._tokens = tokens
        self._settings = settings
        self._clock = clock

    async def handle(self, context: MailboxContext, error: SourceError, *, has_lookups: bool) -> None:
        """Does what the table says about a failure that concerns the whole mailbox.

        Args:
            context: The hold and what belongs to it.
            error: The failure.
            has_lookups: Messages of Processor's own queue were due, too.
        """
        provider = context.tenant.provider or "unknown"
        FAILURES.labels(provider, error.remedy.value, error.reason).inc()
        logger.warning(
            "mailbox in trouble",
            tenant_id=context.tenant_id,
            remedy=error.remedy.value,
            error=error.reason,
            detail=error.detail,
        )
        await self._tokens.report(context.tenant_id, error)
        await self._announce(context, error)
        if error.remedy is Remedy.THROTTLED:
            await self._throttled(context, error)
        elif error.remedy in (Remedy.PERSON, Remedy.NEW_TOKEN):
            await self._put_off(context, self._clock.now() + _PERSON_WAIT)
            await self.wait_on(context.hold, self._clock.now() + _PERSON_WAIT, error.reason)
        else:
            if has_lookups:
                await self._put_off(context, self._patience_after(0))
            await self._later(context.hold, error)

    async def wait_on(self, hold: Hold, until: datetime, reason: str) -> None:
        """Gives everything back until a time, without counting the attempt."""
        await hold.give_back([GivenBack(item.item_id, reason, "", until, is_forgiven=True) for item in hold.waiting])

    async def fault(self, hold: Hold, error_id: str) -> None:
        """Gives everything back after a fault of our own; buries what has had its attempts."""
        detail = f"error {error_id}"
        buried = [item for item in hold.waiting if item.attempts >= self._settings.fetch_attempts]
        await hold.bury([GivenBack(item.item_id, "UNEXPECTED", detail) for item in buried])
        await hold.give_back(
            [
                GivenBack(item.item_id, "UNEXPECTED", detail, self._patience_after(item.attempts))
                for item in hold.waiting
            ]
        )

    async def _announce(self, context: MailboxContext, error: SourceError) -> None:
        """Notifications that were tried or have waited long enough go out without their message; the rest waits."""
        now, settings = self._clock.now(), self._settings
        waits_for_person = error.remedy in (Remedy.PERSON, Remedy.NEW_TOKEN)
        counts = error.remedy is not Remedy.THROTTLED
        oldest = now - timedelta(seconds=settings.announce_after_seconds)

        def is_ripe(item: item_pb2.InboxItem) -> bool:
            is_tried = counts and item.attempts >= settings.fetch_attempts
            is_old = item.received_at.ToDatetime(UTC) <= oldest
            return item.WhichOneof("content") == "mail" and (is_tried or is_old)

        ripe = [item for item in context.hold.waiting if is_ripe(item)]
        if waits_for_person or not ripe or not context.tenant.provider:
            return
        hints = [_tried(hint, settings.fetch_attempts) for hint in hints_of(ripe).values()]
        for begin in range(0, len(hints), settings.commit_messages):
            chunk = hints[begin : begin + settings.commit_messages]
            await context.commit([Sighting(hint, Failed(error)) for hint in chunk])
        await context.hold.done(item.item_id for item in ripe)

    async def _throttled(self, context: MailboxContext, error: SourceError) -> None:
        until = self._clock.now() + (error.retry_after or _THROTTLE_WAIT)

        async def note(connection: Connection) -> None:
            await mailboxes.set_throttled(connection, context.tenant_id, until)
            await lookups.postpone(connection, context.tenant_id, until)

        await context.note(note)
        await self.wait_on(context.hold, until, error.reason)

    async def _put_off(self, context: MailboxContext, until: datetime) -> None:
        async def note(connection: Connection) -> None:
            await lookups.postpone(connection, context.tenant_id, until)

        await context.note(note)

    async def _later(self, hold: Hold, error: SourceError) -> None:
        buried = [item for item in hold.waiting if item.attempts >= self._settings.bury_attempts]
        await hold.bury([GivenBack(item.item_id, error.reason, error.detail) for item in buried])
        await hold.give_back(
            [
                GivenBack(item.item_id, error.reason, error.detail, self._patience_after(item.attempts - 1))
                for item in hold.waiting
            ]
        )

    def _patience_after(self, attempts: int) -> datetime:
        return Patience.waits(self._settings, self._clock.now()).after(max(0, attempts))


def _tried(hint: Hint, attempts: int) -> Hint:
    return hint.merged(Hint(hint.message_id, hint.kinds, hint.received_at, hint.correlation_id, attempts=attempts - 1))
