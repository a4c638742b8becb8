"""Backfills' work on a held mailbox: one page at a time, after all other work, and with half of the quota at most.

A page is at most one commit of messages, so that new mail of the same mailbox waits for that long. The next page is due
when half of the provider's quota has made good for this one. Progress is the oldest time that was reached: after a kill
the mails of that second are listed once more, and those that were published are known.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlated
from services.meshkit.errors import MeshError
from services.meshkit.metrics import UNEXPECTED
from services.processor.mail.backfill.listing import GmailListing, GraphListing, Listing
from services.processor.mail.commit import MailCommitter
from services.processor.mail.context import MailboxContext
from services.processor.mail.coverage import Coverage
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mail.sources.graph import REQUESTS_AT_ONCE, GraphMailbox
from services.processor.mail.sources.quotas import Quotas
from services.processor.mail.state import BACKFILL, BACKFILLED, LISTED, ReportedChange
from services.processor.mail.store import backfills
from services.processor.mail.store.backfills import FAILED, FINISHED, BackfillRow
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.lease import LeaseLostError
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.mailbox.store.mailboxes import FencedError
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.work import HeldMailbox
from services.processor.metrics import FAILURES
from services.processor.settings import ProcessorSettings
from services.providers.names import GOOGLEWS

logger = structlog.get_logger(__name__)

_WAIT = timedelta(seconds=60)
_DEADLINE = timedelta(days=7)
_LARGER = 10


class BackfillWork:
    """Backfills' work on a held mailbox; implements `mailbox.work.MailboxWork`. It leaves the lease's items alone.

    Args:
        http: The process's connections to the providers.
        tokens: The process's tokens.
        transactions: The process's transactions.
        committer: Commits observations.
        settings: Addresses, bounds and waits.
        clock: The time.
        quotas: The mailboxes' quotas at Google.
    """

    queues = (backfills.DUE,)

    def __init__(
        self,
        http: ProviderHttp,
        tokens: TokenCache,
        transactions: Transactions,
        committer: MailCommitter,
        settings: ProcessorSettings,
        clock: Clock,
        quotas: Quotas,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._transactions = transactions
        self._committer = committer
        self._settings = settings
        self._clock = clock
        self._quotas = quotas

    async def read_due(self, connection: db.Connection, tenant_id: str, due: Collection[str]) -> Sequence[BackfillRow]:
        """See `MailboxWork.read_due`."""
        del due  # of one queue
        row = await backfills.read(connection, tenant_id)
        return [row] if row is not None and row.finished_at is None else []

    async def process(self, held: HeldMailbox, due: Sequence[BackfillRow]) -> None:
        """See `MailboxWork.process`. Failures concern the backfill alone."""
        for row in due:
            with correlated(row.correlation_id):
                await self._process(held, row)

    async def recover(self, held: HeldMailbox, due: Sequence[BackfillRow], error: SourceError) -> None:
        """See `MailboxWork.recover`."""
        for row in due:
            await self._put_off(self._context(held), row, error)

    async def _process(self, held: HeldMailbox, row: BackfillRow) -> None:
        context = self._context(held)
        try:
            await self._step(context, self._listing(context), row)
        except SourceError as exc:
            await self._put_off(context, row, exc)
        except (MeshError, OSError, FencedError, LeaseLostError):
            raise
        except Exception:
            UNEXPECTED.labels("backfill").inc()
            logger.exception("backfill failed", tenant_id=row.tenant_id)
            # A backfill on which our own code fails must not stop its mailbox.
            await self._change(context, row, self._later(row, "UNEXPECTED", "", self._retry_at(row)))

    async def _step(self, context: MailboxContext, listing: Listing, row: BackfillRow) -> None:
        """Publish a page, and further ones as long as all their mails are of the second that was reached before."""
        count, fetched, link, size = 0, 0, "", self._settings.commit_messages
        while True:
            page = await listing.page(row, link, size)
            for begin in range(0, len(page.wanted), self._settings.commit_messages):
                stretch = page.wanted[begin : begin + self._settings.commit_messages]
                await context.fetch_and_commit_all(listing.source, [self._change_of(row, one) for one in stretch])
            count, fetched, link = count + page.count, fetched + len(page.wanted), page.link
            reached = await listing.oldest()
            if not link or (reached is not None and reached.replace(microsecond=0) < _second(row.reached_at)):
                break
            size = self._settings.commit_messages * _LARGER
        values = {"reached_at": reached or row.reached_at, "messages": row.messages + count, "failures": 0}
        is_cut = bool(link) and row.messages + count >= self._settings.backfill_messages
        if link and not is_cut:
            due_at = self._clock.now() + timedelta(seconds=listing.pause(fetched))
            await self._change(context, row, {**values, "due_at": due_at, "reason": "", "detail": ""})
        else:
            values |= {} if is_cut else {"reached_at": row.since}
            await self._change(context, row, {**values, **self._ended(FINISHED), "is_cut": is_cut})

    def _change_of(self, row: BackfillRow, message_id: str) -> ReportedChange:
        kinds = frozenset({LISTED, BACKFILLED})
        return ReportedChange(message_id, kinds, self._clock.now(), row.correlation_id, BACKFILL)

    async def _put_off(self, context: MailboxContext, row: BackfillRow, error: SourceError) -> None:
        FAILURES.labels(row.provider, error.remedy.value, error.reason).inc()
        logger.warning("backfill put off", tenant_id=row.tenant_id, error=error.reason, detail=error.detail)
        now, waits = self._clock.now(), (Remedy.THROTTLED, Remedy.PERSON, Remedy.NEW_TOKEN)
        until = now + (error.retry_after or _WAIT) if error.remedy in waits else self._retry_at(row)
        await self._change(context, row, self._later(row, error.reason, error.detail, until))

    def _later(self, row: BackfillRow, reason: str, detail: str, until: datetime) -> dict[str, Any]:
        """Return the change after a failure: the next attempt, or the end when the deadline is over."""
        is_over = self._clock.now() - row.until > _DEADLINE
        ended = self._ended(FAILED) if is_over else {}
        return {"failures": row.failures + 1, "reason": reason, "detail": detail, "due_at": until, **ended}

    def _ended(self, state: int) -> dict[str, Any]:
        return {"state": state, "due_at": None, "finished_at": self._clock.now()}

    def _retry_at(self, row: BackfillRow) -> datetime:
        return RetryPolicy.from_settings(self._settings, self._clock.now()).after(row.failures)

    async def _change(self, context: MailboxContext, row: BackfillRow, values: dict[str, Any]) -> None:
        await context.note(lambda connection: backfills.change(connection, row, values))

    def _listing(self, context: MailboxContext) -> Listing:
        tenant, settings = context.tenant, self._settings
        if tenant.provider == GOOGLEWS:
            at_once = settings.gmail_requests_at_once
            access = MailboxAccess(self._http, self._tokens, tenant.tenant_id, GOOGLEWS, at_once)
            quota = self._quotas.of(tenant.tenant_id)
            return GmailListing(context, GmailMailbox(access, settings.google_gmail_url, quota, at_once))
        access = MailboxAccess(self._http, self._tokens, tenant.tenant_id, tenant.provider, REQUESTS_AT_ONCE)
        return GraphListing(context, GraphMailbox(access, settings.ms365_graph_url))

    def _context(self, held: HeldMailbox) -> MailboxContext:
        return MailboxContext(
            lease=held.lease,
            mailbox=held.mailbox,
            tenant=held.tenant,
            coverage=Coverage(held.tenant.provider, held.lease.watches),
            transactions=self._transactions,
            committer=self._committer,
            settings=self._settings,
            clock=self._clock,
        )


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
