"""One hold on one mailbox, from claim to acknowledgement, whichever provider it is at."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, timedelta

import structlog

from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlated
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED
from services.meshkit.tracing import span
from services.processor.mail.commit import Commits
from services.processor.mail.context import MailboxContext
from services.processor.mail.coverage import Coverage
from services.processor.mail.recovery import Trouble
from services.processor.mail.state import Hint
from services.processor.mail.store import lookups
from services.processor.mail.sync import ProviderWork
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.inbox_client import GivenBack, Inbox
from services.processor.mailbox.lease import Hold, HoldLostError
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.store.mailboxes import FencedError, Mailbox
from services.processor.mailbox.token_cache import Tokens
from services.processor.metrics import HELD, STEP_SECONDS
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)

_GIVE_BACK_SECONDS = 5.0
_LOOKUPS_AT_ONCE = 100


class MailboxWorker:
    """Works mailboxes, each under its own lease.

    Args:
        inbox: Where work comes from.
        commits: Where results go.
        tokens: The process's tokens.
        provider_work: What is done at which provider.
        settings: Bounds and waits.
        clock: The time.
    """

    def __init__(
        self,
        inbox: Inbox,
        commits: Commits,
        tokens: Tokens,
        provider_work: ProviderWork,
        settings: ProcessorSettings,
        clock: Clock,
    ) -> None:
        self._inbox = inbox
        self._commits = commits
        self._tokens = tokens
        self._provider_work = provider_work
        self._settings = settings
        self._clock = clock
        self._trouble = Trouble(commits, tokens, settings, clock)

    async def work(self, lease: inbox_pb2.TenantLease) -> None:
        """Works what a lease holds, and gives back what could not be done. Raises nothing but cancellation."""
        hold = Hold(self._inbox, lease)
        first = next(iter(lease.items), None)
        parent = first.traceparent if first else ""
        with HELD.track_inprogress(), correlated(first.correlation_id if first else ""), span("mailbox", parent=parent):
            try:
                async with hold.kept_alive():
                    await self._held(hold)
            except asyncio.CancelledError:
                await asyncio.shield(self._return_all(hold, "SHUTTING_DOWN", is_forgiven=True))
                raise
            except (FencedError, HoldLostError):
                logger.warning("hold lost", tenant_id=hold.tenant_id, fence=hold.fence)
            except (MeshError, OSError) as exc:
                reason = getattr(exc, "reason", "") or "SERVICE_UNAVAILABLE"
                logger.warning("mailbox not worked", tenant_id=hold.tenant_id, error=reason)
                await self._return_all(hold, reason, is_forgiven=True, delay=self._settings.retry_base_seconds)
            except Exception:
                error_id = new_id()
                UNEXPECTED.labels("mailbox").inc()
                logger.exception("mailbox not worked", tenant_id=hold.tenant_id, error_id=error_id)
                await self._fault(hold, error_id)

    async def _held(self, hold: Hold) -> None:
        with STEP_SECONDS.labels("open").time():
            mailbox, waiting = await self._open(hold)
        if mailbox.throttled_until is not None and mailbox.throttled_until > self._clock.now():
            await self._trouble.wait_on(hold, mailbox.throttled_until, "PROVIDER_THROTTLED")
            await hold.end()
            return
        context: MailboxContext | None = None
        try:
            with STEP_SECONDS.labels("token").time():
                lent = await self._tokens.of(hold.tenant_id)
            context = self._context(hold, mailbox, lent.tenant)
            await self._provider_work.work(context, waiting)
        except SourceError as exc:
            context = context or self._context(hold, mailbox, tenant_of(hold))
            await self._trouble.handle(context, exc, has_lookups=bool(waiting))
        await hold.end()

    async def _open(self, hold: Hold) -> tuple[Mailbox, Sequence[Hint]]:
        begins = [watch.covered_from.ToDatetime(UTC) for watch in hold.watches if watch.HasField("covered_from")]
        is_polled = bool(hold.watches) and all(watch.is_polled for watch in hold.watches)
        seconds = self._settings.poll_seconds if is_polled else self._settings.reconcile_seconds
        async with self._commits.reading() as connection:
            mailbox = await mailboxes.open_mailbox(
                connection,
                hold.tenant_id,
                hold.fence,
                min(begins, default=None),
                is_polled=is_polled,
                is_watched=bool(hold.watches),
                reconcile_within=timedelta(seconds=seconds),
            )
            return mailbox, await lookups.due(connection, hold.tenant_id, _LOOKUPS_AT_ONCE)

    def _context(self, hold: Hold, mailbox: Mailbox, tenant: tenant_pb2.Tenant) -> MailboxContext:
        coverage = Coverage(tenant.provider, hold.watches)
        return MailboxContext(hold, mailbox, tenant, coverage, self._commits, self._settings, self._clock)

    async def _return_all(self, hold: Hold, reason: str, *, is_forgiven: bool, delay: float = 0.0) -> None:
        """Gives back what is left, if Ingest can be reached; else the lease ends by itself."""
        at = self._clock.now() + timedelta(seconds=delay) if delay else None
        items = [GivenBack(item.item_id, reason, "", at, is_forgiven) for item in hold.waiting]
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await hold.give_back(items)
                await hold.end()
        except (MeshError, OSError, HoldLostError) as exc:
            logger.warning("items not given back", tenant_id=hold.tenant_id, error=type(exc).__name__)

    async def _fault(self, hold: Hold, error_id: str) -> None:
        """A fault of our own: counted as an attempt, buried when it happens again and again."""
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await self._trouble.fault(hold, error_id)
                await hold.end()
        except (MeshError, OSError, HoldLostError) as exc:
            logger.warning("items not given back", tenant_id=hold.tenant_id, error=type(exc).__name__)


def tenant_of(hold: Hold) -> tenant_pb2.Tenant:
    """Whose mailbox it is, from the notifications alone, for when no token can be had."""
    mail = next((item.mail for item in hold.waiting if item.WhichOneof("content") == "mail"), None)
    if mail is None:
        return tenant_pb2.Tenant(tenant_id=hold.tenant_id)
    return tenant_pb2.Tenant(
        tenant_id=hold.tenant_id,
        provider=mail.provider,
        external_tenant_id=mail.external_tenant_id,
        user_id=mail.user_id,
    )
