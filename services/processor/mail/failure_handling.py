"""Handle a failure of a whole mailbox: apply the remedy from the table of failures to each item."""

from datetime import UTC, datetime, timedelta

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.mail.commit import Observation
from services.processor.mail.context import MailboxContext
from services.processor.mail.graph_notifications import changes_of
from services.processor.mail.sources.findings import Failed
from services.processor.mail.state import ReportedChange
from services.processor.mail.store import lookups
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.inbox_client import ReturnedItem
from services.processor.mailbox.lease import Lease
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.token_cache import TokenCache
from services.processor.metrics import FAILURES
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)

_PERSON_WAIT = timedelta(seconds=60)
_THROTTLE_WAIT = timedelta(seconds=5)


class FailureHandler:
    """Releases items as the failure asks for, and announces without content what has waited long enough.

    Args:
        tokens: The process's tokens, which report the failure to TokenVault.
        settings: Bounds and waits.
        clock: The time.
    """

    def __init__(self, tokens: TokenCache, settings: ProcessorSettings, clock: Clock) -> None:
        self._tokens = tokens
        self._settings = settings
        self._clock = clock

    async def handle(self, context: MailboxContext, error: SourceError) -> None:
        """Apply the table of failures to a failure of the whole mailbox.

        Args:
            context: The lease and everything that belongs to it.
            error: The failure.
        """
        provider = context.tenant.provider or "unknown"
        throttles = 0 if context.has_progress else context.mailbox.throttles
        FAILURES.labels(provider, error.remedy.value, error.reason).inc()
        logger.warning(
            "mailbox failed",
            tenant_id=context.tenant_id,
            remedy=error.remedy.value,
            error=error.reason,
            detail=error.detail,
        )
        await self._tokens.report(context.tenant_id, error)
        await self._announce(context, error)
        if error.remedy is Remedy.THROTTLED:
            await self._throttled(context, error, throttles)
        elif error.remedy in (Remedy.PERSON, Remedy.NEW_TOKEN):
            await self._put_off(context, self._clock.now() + _PERSON_WAIT)
            await context.lease.release_all(self._clock.now() + _PERSON_WAIT, error.reason)
        else:
            await self._put_off(context, self._retry_at(0))
            await self._later(context.lease, error)

    async def _announce(self, context: MailboxContext, error: SourceError) -> None:
        """Announce without content the notifications that were tried or have waited long enough; the rest waits."""
        now, settings = self._clock.now(), self._settings
        waits_for_person = error.remedy in (Remedy.PERSON, Remedy.NEW_TOKEN)
        counts = error.remedy is not Remedy.THROTTLED
        oldest = now - timedelta(seconds=settings.announce_after_seconds)

        def is_ripe(item: item_pb2.InboxItem) -> bool:
            is_tried = counts and item.attempts >= settings.fetch_attempts
            is_old = item.received_at.ToDatetime(UTC) <= oldest
            return item.WhichOneof("content") == "mail" and (is_tried or is_old)

        ripe = [item for item in context.lease.waiting if is_ripe(item)]
        if waits_for_person or not ripe or not context.tenant.provider:
            return
        changes = [_tried(reported, settings.fetch_attempts) for reported in changes_of(ripe).values()]
        for begin in range(0, len(changes), settings.commit_messages):
            chunk = changes[begin : begin + settings.commit_messages]
            await context.commit([Observation(reported, Failed(error)) for reported in chunk])
        await context.lease.acknowledge(item.item_id for item in ripe)

    async def _throttled(self, context: MailboxContext, error: SourceError, throttles: int) -> None:
        """Wait as long as the provider asks; without a time, longer with each attempt that committed nothing."""
        now = self._clock.now()
        grown = RetryPolicy.from_settings(self._settings, now).after(throttles, _THROTTLE_WAIT)
        until = now + error.retry_after if error.retry_after else grown

        async def note(connection: db.Connection) -> None:
            await mailboxes.set_throttled(connection, context.tenant_id, until, throttles + 1)
            await lookups.postpone(connection, context.tenant_id, until)

        await context.note(note)
        await context.lease.release_all(until, error.reason)

    async def _put_off(self, context: MailboxContext, until: datetime) -> None:
        async def note(connection: db.Connection) -> None:
            await lookups.postpone(connection, context.tenant_id, until)
            await mailboxes.postpone_history(connection, context.tenant_id, until)

        await context.note(note)

    async def _later(self, lease: Lease, error: SourceError) -> None:
        buried = [item for item in lease.waiting if item.attempts >= self._settings.bury_attempts]
        await lease.bury([ReturnedItem(item.item_id, error.reason, error.detail) for item in buried])
        await lease.release(
            [
                ReturnedItem(item.item_id, error.reason, error.detail, self._retry_at(item.attempts - 1))
                for item in lease.waiting
            ]
        )

    def _retry_at(self, attempts: int) -> datetime:
        return RetryPolicy.from_settings(self._settings, self._clock.now()).after(max(0, attempts))


def _tried(reported: ReportedChange, attempts: int) -> ReportedChange:
    return reported.merged(
        ReportedChange(
            reported.message_id, reported.kinds, reported.received_at, reported.correlation_id, attempts=attempts - 1
        )
    )
