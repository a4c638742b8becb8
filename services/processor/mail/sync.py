"""Process a mailbox at its provider: notifications first, then due lookups, then reconciliation."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.processor.mail import gmail_pushes, gmail_reconcile, graph_changes, graph_notifications, graph_reconcile
from services.processor.mail.commit import MailCommitter
from services.processor.mail.context import MailboxContext, Source
from services.processor.mail.coverage import Coverage
from services.processor.mail.failure_handling import FailureHandler
from services.processor.mail.graph_changes import Listing
from services.processor.mail.graph_reconcile import Round
from services.processor.mail.sources.failure_scope import FailureScope
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mail.sources.graph import REQUESTS_AT_ONCE, GraphMailbox
from services.processor.mail.sources.quotas import Quotas
from services.processor.mail.state import ReportedChange
from services.processor.mail.store import folders, lookups
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, narrowed
from services.processor.mailbox.inbox_client import ReturnedItem
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.store import mailboxes, row_changes
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.work import HeldMailbox
from services.processor.metrics import RECONCILED, STEP_SECONDS
from services.processor.settings import ProcessorSettings
from services.providers.names import GOOGLEWS, MS365

_MAX_THROTTLED = 10_000
_LOOKUPS_AT_ONCE = 100


class MailSync:
    """The mail wing's work on a held mailbox; implements `mailbox.work.MailboxWork`.

    Args:
        http: The process's connections to the providers.
        tokens: The process's tokens.
        transactions: The process's transactions.
        settings: Addresses, bounds and waits.
        clock: The time.
        committer: Commits observations.
        quotas: The mailboxes' quotas at Google.
    """

    queues = (lookups.DUE, mailboxes.HISTORY_DUE)

    def __init__(
        self,
        http: ProviderHttp,
        tokens: TokenCache,
        transactions: Transactions,
        settings: ProcessorSettings,
        clock: Clock,
        committer: MailCommitter,
        quotas: Quotas,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._transactions = transactions
        self._settings = settings
        self._clock = clock
        self._committer = committer
        self._failure_handler = FailureHandler(tokens, settings, clock)
        self._quotas = quotas
        self._throttled: dict[str, set[str]] = {}

    async def read_due(
        self, connection: db.Connection, tenant_id: str, due: Collection[str]
    ) -> Sequence[ReportedChange]:
        """See `MailboxWork.read_due`. Due history is read from the mailbox's row."""
        return await lookups.due(connection, tenant_id, _LOOKUPS_AT_ONCE) if lookups.DUE.name in due else []

    async def process(self, held: HeldMailbox, due: Sequence[ReportedChange]) -> None:
        """See `MailboxWork.process`."""
        context = self._context(held)
        try:
            await self._process(context, due)
            if context.mailbox.throttles:
                await context.change(row_changes.not_throttled())
        except SourceError as exc:
            await self._failure_handler.handle(context, exc)

    async def recover(self, held: HeldMailbox, due: Sequence[ReportedChange], error: SourceError) -> None:
        """See `MailboxWork.recover`. The lookups that are due stay due."""
        del due
        await self._failure_handler.handle(self._context(held), error)

    def _context(self, held: HeldMailbox) -> MailboxContext:
        return MailboxContext(
            lease=held.lease,
            mailbox=held.mailbox,
            tenant=held.tenant,
            coverage=Coverage(held.tenant.provider, held.lease.watches, has_draft_events=self._settings.draft_events),
            transactions=self._transactions,
            committer=self._committer,
            settings=self._settings,
            clock=self._clock,
        )

    async def _process(self, context: MailboxContext, due: Sequence[ReportedChange]) -> None:
        await self._begin(context)
        provider = context.tenant.provider
        if provider == MS365:
            await self._graph(context, due)
        elif provider == GOOGLEWS:
            await self._gmail(context, due)
        else:
            items = [ReturnedItem(item.item_id, "PROVIDER_UNKNOWN", provider) for item in context.lease.waiting]
            await context.lease.bury(items)

    async def _graph(self, context: MailboxContext, due: Sequence[ReportedChange]) -> None:
        access = MailboxAccess(self._http, self._tokens, context.tenant_id, MS365, REQUESTS_AT_ONCE)
        graph = GraphMailbox(access, self._settings.ms365_graph_url, self._throttled_in(context.tenant_id))
        async with _confirmed(graph.scope):
            await self._graph_work(context, graph, due)

    async def _graph_work(self, context: MailboxContext, graph: GraphMailbox, due: Sequence[ReportedChange]) -> None:
        with STEP_SECONDS.labels("known").time():
            async with context.transactions.reading() as connection:
                known = await folders.load(connection, context.tenant_id)
        names = await graph_notifications.resolve_folders(context, graph, known)
        listed = frozenset(cursor.folder_id for cursor in known if cursor.has_baseline)
        is_all_listed = context.mailbox.caught_up_at is not None and len(listed) == len(known)
        context.coverage = replace(context.coverage, folders=names, listed=listed, is_all_listed=is_all_listed)
        await graph_notifications.process_notifications(context, graph)
        await self._process_lookups(context, graph, due)
        for item in items_of(context, "reconcile"):
            listing = await graph_changes.list_changes(context, graph, item)
            if listing in (Listing.CHANGES, Listing.REFUSED):
                RECONCILED.labels(MS365, listing.value).inc()
                await context.lease.acknowledge([item.item_id])
                continue
            outcome = await graph_reconcile.reconcile(context, graph, item)
            await graph_changes.caught_up(context, listing, outcome, item.received_at.ToDatetime(UTC))
            await self._reconciled(context, item, outcome)

    async def _gmail(self, context: MailboxContext, due: Sequence[ReportedChange]) -> None:
        access = MailboxAccess(
            self._http, self._tokens, context.tenant_id, GOOGLEWS, self._settings.gmail_requests_at_once
        )
        gmail = GmailMailbox(
            access,
            self._settings.google_gmail_url,
            self._quotas.of(context.tenant_id),
            self._settings.gmail_requests_at_once,
            self._throttled_in(context.tenant_id),
        )
        async with _confirmed(gmail.scope):
            await self._gmail_work(context, gmail, due)

    async def _gmail_work(self, context: MailboxContext, gmail: GmailMailbox, due: Sequence[ReportedChange]) -> None:
        await self._process_lookups(context, gmail, due)
        if not context.lease.watches:
            # The last subscription is gone: a push only announces a change, and no watched label is left to check.
            await context.lease.acknowledge(item.item_id for item in context.lease.waiting)
            await gmail_pushes.stop(context)
            return
        pushes = items_of(context, "mailbox_changed")
        if pushes:
            await gmail_pushes.process_pushes(context, gmail, pushes)
        for item in items_of(context, "reconcile"):
            is_done = await gmail_reconcile.reconcile(context, gmail, item)
            await self._reconciled(context, item, Round.COMPLETE if is_done else Round.PAUSED)
        await gmail_pushes.process_due(context, gmail)

    async def _begin(self, context: MailboxContext) -> None:
        """Store the first cursors that subscriptions brought; an existing cursor does not move."""
        items = items_of(context, "mailbox_watched")
        if not items:
            return
        first = min((item.mailbox_watched.history_id for item in items if item.mailbox_watched.history_id), default=0)
        if context.mailbox.history_id is None and first:
            await context.change(row_changes.history_begun(first))
            context.mailbox = replace(context.mailbox, history_id=first)
        await context.lease.acknowledge(item.item_id for item in items)

    async def _process_lookups(self, context: MailboxContext, source: Source, due: Sequence[ReportedChange]) -> None:
        step = context.settings.commit_messages
        for begin in range(0, len(due), step):
            await context.fetch_and_commit_all(source, due[begin : begin + step])

    async def _reconciled(self, context: MailboxContext, item: item_pb2.InboxItem, outcome: Round) -> None:
        """End a reconciliation, or let new mail of the same mailbox go first before it continues."""
        RECONCILED.labels(context.tenant.provider, outcome.value).inc()
        if outcome is Round.PAUSED:
            await context.lease.release([ReturnedItem(item.item_id, "", "", None, is_forgiven=True)])
            return
        await context.change(row_changes.reconciled())
        await context.lease.acknowledge([item.item_id])

    def _throttled_in(self, tenant_id: str) -> set[str]:
        if tenant_id not in self._throttled and len(self._throttled) >= _MAX_THROTTLED:
            self._throttled.pop(next(iter(self._throttled)))
        return self._throttled.setdefault(tenant_id, set())


@asynccontextmanager
async def _confirmed(scope: FailureScope) -> AsyncIterator[None]:
    """Let a failure that marks a tenant leave the block only when the whole mailbox has it; retry any other later."""
    try:
        yield
    except SourceError as exc:
        if exc.remedy not in (Remedy.PERSON, Remedy.NEW_TOKEN):
            raise
        await scope.check(exc)
        raise narrowed(exc) from exc


def items_of(context: MailboxContext, kind: str) -> list[item_pb2.InboxItem]:
    """Return the lease's items of one kind, oldest first."""
    return [item for item in context.lease.waiting if item.WhichOneof("content") == kind]
