"""What is done on a mailbox, by provider: notifications first, then what has to be looked at again, then comparing."""

from collections.abc import Sequence
from dataclasses import replace

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.processor.connection import Connection
from services.processor.mail import gmail_compare, gmail_pushes, graph_delta, graph_notifications
from services.processor.mail.context import MailboxContext, Source
from services.processor.mail.coverage import Coverage
from services.processor.mail.sources.gmail import GmailMailbox, Quota
from services.processor.mail.sources.graph import REQUESTS_AT_ONCE, GraphMailbox
from services.processor.mail.state import Hint
from services.processor.mail.store import folders
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import GOOGLEWS, MS365
from services.processor.mailbox.inbox_client import GivenBack
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.token_cache import Tokens
from services.processor.metrics import RECONCILED, STEP_SECONDS
from services.processor.settings import ProcessorSettings

_MAX_QUOTAS = 10_000


class ProviderWork:
    """Knows the providers.

    Args:
        http: The process's connections.
        tokens: The process's tokens.
        settings: Addresses, bounds and waits.
    """

    def __init__(self, http: ProviderHttp, tokens: Tokens, settings: ProcessorSettings) -> None:
        self._http = http
        self._tokens = tokens
        self._settings = settings
        self._quotas: dict[str, Quota] = {}

    async def work(self, context: MailboxContext, lookups: Sequence[Hint]) -> None:
        """Works what a hold has, and acknowledges what is done.

        Args:
            context: The hold and what belongs to it.
            lookups: Messages of Processor's own queue that are due.

        Raises:
            SourceError: Trouble that concerns the whole mailbox.
        """
        await self._begin(context)
        match context.tenant.provider:
            case "ms365":
                await self._graph(context, lookups)
            case "googlews":
                await self._gmail(context, lookups)
            case provider:
                items = [GivenBack(item.item_id, "PROVIDER_UNKNOWN", provider) for item in context.hold.waiting]
                await context.hold.bury(items)

    async def _graph(self, context: MailboxContext, lookups: Sequence[Hint]) -> None:
        access = MailboxAccess(self._http, self._tokens, context.tenant_id, MS365, REQUESTS_AT_ONCE)
        graph = GraphMailbox(access, self._settings.ms365_graph_url)
        with STEP_SECONDS.labels("known").time():
            async with context.commits.reading() as connection:
                known = await folders.load(connection, context.tenant_id)
        names = await graph_notifications.resolve_folders(context, graph, known)
        listed = frozenset(cursor.folder_id for cursor in known if cursor.has_baseline)
        context.coverage = Coverage(MS365, context.hold.watches, names, listed)
        await graph_notifications.work_notifications(context, graph)
        await self._look_again(context, graph, lookups)
        for item in items_of(context, "reconcile"):
            await self._reconciled(context, item, await graph_delta.reconcile(context, graph, item))

    async def _gmail(self, context: MailboxContext, lookups: Sequence[Hint]) -> None:
        access = MailboxAccess(
            self._http, self._tokens, context.tenant_id, GOOGLEWS, self._settings.gmail_requests_at_once
        )
        gmail = GmailMailbox(
            access,
            self._settings.google_gmail_url,
            self._quota(context.tenant_id),
            self._settings.gmail_requests_at_once,
        )
        await self._look_again(context, gmail, lookups)
        if not context.hold.watches:
            # The last subscription is gone: a push only says that one may look, and there is nothing to look for.
            await context.hold.done(item.item_id for item in context.hold.waiting)
            return
        pushes = items_of(context, "mailbox_changed")
        if pushes:
            await gmail_pushes.work_pushes(context, gmail, pushes)
        for item in items_of(context, "reconcile"):
            await self._reconciled(context, item, await gmail_compare.reconcile(context, gmail, item))

    async def _begin(self, context: MailboxContext) -> None:
        """Takes the first cursors that subscriptions brought; none that is there already is moved."""
        items = items_of(context, "mailbox_watched")
        if not items:
            return
        first = min((item.mailbox_watched.history_id for item in items if item.mailbox_watched.history_id), default=0)

        async def note(connection: Connection) -> None:
            if first:
                await mailboxes.begin_history(connection, context.tenant_id, first)

        await context.note(note)
        if context.mailbox.history_id is None and first:
            context.mailbox = replace(context.mailbox, history_id=first)
        await context.hold.done(item.item_id for item in items)

    async def _look_again(self, context: MailboxContext, source: Source, lookups: Sequence[Hint]) -> None:
        step = context.settings.commit_messages
        for begin in range(0, len(lookups), step):
            await context.look_at_all(source, lookups[begin : begin + step])

    async def _reconciled(self, context: MailboxContext, item: item_pb2.InboxItem, is_done: bool) -> None:
        """Ends a comparison, or lets new mail of the same mailbox have its turn before it goes on."""
        RECONCILED.labels(context.tenant.provider, "done" if is_done else "paused").inc()
        if not is_done:
            await context.hold.give_back([GivenBack(item.item_id, "", "", None, is_forgiven=True)])
            return

        async def note(connection: Connection) -> None:
            await mailboxes.set_reconciled(connection, context.tenant_id)

        await context.note(note)
        await context.hold.done([item.item_id])

    def _quota(self, tenant_id: str) -> Quota:
        if tenant_id not in self._quotas and len(self._quotas) >= _MAX_QUOTAS:
            self._quotas.pop(next(iter(self._quotas)))
        return self._quotas.setdefault(tenant_id, Quota(self._settings.gmail_units_per_minute))


def items_of(context: MailboxContext, kind: str) -> list[item_pb2.InboxItem]:
    """The hold's items of one kind, oldest first."""
    return [item for item in context.hold.waiting if item.WhichOneof("content") == kind]
