"""Backfills' work on a held mailbox: one page at a time, after all other work, and with half of the quota at most.

A page is at most one commit of messages, so that new mail of the same mailbox waits for that long. The next page is due
when half of the provider's quota has made good for this one. Progress is the oldest time that was reached, and the link
of the next page where a page is of one second, or none of its mails has a known time. After a kill the mails of that
second are listed once more, and those that were published are known.

Microsoft is asked for the newest mail first. Gmail lists in this order, but its documentation does not promise it.
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
from services.processor.mail.state import BACKFILL, BACKFILLED, ReportedChange
from services.processor.mail.store import backfills, lookups
from services.processor.mail.store.backfills import FAILED, FINISHED, BackfillRow
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.lease_endings import LeaseLostError
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
_LINK_LOST = (Remedy.CURSOR_LOST, Remedy.MISSING, Remedy.PERMANENT)
"""The remedies after which the mails of the second are listed from their beginning: the link may be refused."""


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
        """Publish a page. A page that does not get below the second reached leaves its link to the next step."""
        size = self._settings.commit_messages
        page = await listing.page(row, row.link, size)
        for begin in range(0, len(page.wanted), size):  # a provider may send more than it was asked for
            stretch = page.wanted[begin : begin + size]
            await context.fetch_and_commit_all(listing.source, [self._change_of(row, one) for one in stretch])
        oldest = await listing.oldest()
        reached = _passed(row, oldest) if oldest and _second(oldest) < _second(row.reached_at) else None
        now, count = self._clock.now(), row.messages + page.count
        # Within a second there is no cut: the next backfill would list the same mails of this second.
        is_cut = bool(page.link and reached) and count >= self._settings.backfill_messages
        values: dict[str, Any] = {"messages": count, "reason": "", "detail": "", "link": "" if reached else page.link}
        if reached or not page.link:
            values |= {"reached_at": reached if page.link else row.since, "progressed_at": now, "failures": 0}
        if page.link and not is_cut:
            values["due_at"] = now + timedelta(seconds=listing.pause(len(page.wanted)))
        else:
            values |= {**self._ended(FINISHED), "is_cut": is_cut}
        await self._change(context, row, values)

    def _change_of(self, row: BackfillRow, message_id: str) -> ReportedChange:
        kinds = frozenset({BACKFILLED})
        return ReportedChange(message_id, kinds, self._clock.now(), row.correlation_id, BACKFILL)

    async def _put_off(self, context: MailboxContext, row: BackfillRow, error: SourceError) -> None:
        FAILURES.labels(row.provider, error.remedy.value, error.reason).inc()
        logger.warning("backfill put off", tenant_id=row.tenant_id, error=error.reason, detail=error.detail)
        now, waits = self._clock.now(), (Remedy.THROTTLED, Remedy.PERSON, Remedy.NEW_TOKEN)
        until = now + (error.retry_after or _WAIT) if error.remedy in waits else self._retry_at(row)
        lost = {"link": ""} if error.remedy in _LINK_LOST else {}
        await self._change(context, row, {**self._later(row, error.reason, error.detail, until), **lost})

    def _later(self, row: BackfillRow, reason: str, detail: str, until: datetime) -> dict[str, Any]:
        """Return the change after a failure: the next attempt, or the end when it has not got on for too long."""
        is_over = self._clock.now() - row.progressed_at > _DEADLINE
        ended = self._ended(FAILED) if is_over else {}
        return {"failures": row.failures + 1, "reason": reason, "detail": detail, "due_at": until, **ended}

    def _ended(self, state: int) -> dict[str, Any]:
        return {"state": state, "due_at": None, "finished_at": self._clock.now()}

    def _retry_at(self, row: BackfillRow) -> datetime:
        return RetryPolicy.from_settings(self._settings, self._clock.now()).after(row.failures)

    async def _change(self, context: MailboxContext, row: BackfillRow, values: dict[str, Any]) -> None:
        async def write(connection: db.Connection) -> None:
            if not await backfills.change(connection, row, values):
                # It was cancelled meanwhile: the lookups that this page has stored since are dropped as well.
                await lookups.drop_backfilled(connection, row.tenant_id)

        await context.note(write)

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


def _passed(row: BackfillRow, reached: datetime) -> datetime:
    """Return the time from which to go on: behind the range that the backfill before it has read."""
    if row.done_from and row.done_until and row.done_from < reached and _second(reached) < _second(row.done_until):
        return row.done_from
    return reached


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
