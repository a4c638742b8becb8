"""One lease on one mailbox, from claim to acknowledgement, for any wing and any provider."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Generic

import structlog

from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlated
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.metrics import UNEXPECTED
from services.meshkit.tracing import span
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.inbox_client import InboxClient, ReturnedItem
from services.processor.mailbox.intervals import Intervals
from services.processor.mailbox.lease import Lease
from services.processor.mailbox.lease_endings import LeaseEndings, LeaseLostError
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.mailbox.store import due_queues, mailboxes
from services.processor.mailbox.store.mailboxes import FencedError, Mailbox
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.work import Due, HeldMailbox, MailboxWork
from services.processor.metrics import HELD, STEP_SECONDS
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)

_RELEASE_SECONDS = 5.0
_NO_MAIL = frozenset({"reconcile", "calendar_changed"})
"""The items that report no mail."""


class MailboxWorker(Generic[Due]):
    """Processes mailboxes, each under its own lease.

    Args:
        inbox: The source of items.
        endings: The process's leases that end.
        transactions: The process's transactions.
        tokens: The process's tokens.
        work: The work of the wing on a held mailbox.
        settings: Bounds and waits.
        clock: The time.
    """

    def __init__(
        self,
        inbox: InboxClient,
        endings: LeaseEndings,
        transactions: Transactions,
        tokens: TokenCache,
        work: MailboxWork[Due],
        settings: ProcessorSettings,
        clock: Clock,
    ) -> None:
        self._inbox = inbox
        self._endings = endings
        self._transactions = transactions
        self._tokens = tokens
        self._work = work
        self._settings = settings
        self._clock = clock

    async def due_tenants(self, limit: int) -> Sequence[str]:
        """Return the tenants with due entries in the wings' own queues, at most `limit`.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached or is too slow.
        """
        async with self._transactions.reading() as connection:
            return await due_queues.due_tenants(connection, self._work.queues, limit)

    async def process(self, claimed: inbox_pb2.TenantLease) -> bool:
        """Process the items of a lease, and release the items that could not be done. Raises only cancellation.

        Returns:
            Whether the mailbox is due again at once.
        """
        lease = Lease(self._inbox, self._endings, claimed)
        first = next(iter(claimed.items), None)
        parent = first.traceparent if first else ""
        with HELD.track_inprogress(), correlated(first.correlation_id if first else ""), span("mailbox", parent=parent):
            try:
                async with lease.renewing():
                    await self._held(lease)
            except asyncio.CancelledError:
                await asyncio.shield(self._release_all(lease, "SHUTTING_DOWN"))
                raise
            except (FencedError, LeaseLostError):
                logger.warning("lease lost", tenant_id=lease.tenant_id, fence=lease.fence)
            except (MeshError, OSError) as exc:
                reason = getattr(exc, "reason", "") or "SERVICE_UNAVAILABLE"
                logger.warning("mailbox not processed", tenant_id=lease.tenant_id, error=reason)
                await self._release_all(lease, reason, delay=self._settings.retry_base_seconds)
            except Exception:
                error_id = new_id()
                UNEXPECTED.labels("mailbox").inc()
                logger.exception("mailbox not processed", tenant_id=lease.tenant_id, error_id=error_id)
                await self._fail_all(lease, error_id)
        return lease.is_due_again

    async def _held(self, lease: Lease) -> None:
        with STEP_SECONDS.labels("open").time():
            mailbox, due = await self._open(lease)
        if mailbox.throttled_until is not None and mailbox.throttled_until > self._clock.now():
            await lease.release_all(mailbox.throttled_until, "PROVIDER_THROTTLED")
            await lease.end()
            return
        try:
            with STEP_SECONDS.labels("token").time():
                lent = await self._tokens.of(lease.tenant_id)
        except SourceError as exc:
            await self._work.recover(HeldMailbox(lease, mailbox, tenant_of(lease)), due, exc)
        else:
            await self._work.process(HeldMailbox(lease, mailbox, lent.tenant), due)
        await lease.end()

    async def _open(self, lease: Lease) -> tuple[Mailbox, Sequence[Due]]:
        begins = [watch.covered_from.ToDatetime(UTC) for watch in lease.watches if watch.HasField("covered_from")]
        is_polled = bool(lease.watches) and all(watch.is_polled for watch in lease.watches)
        # A reconciliation is no sign of use: it would keep an idle mailbox at the interval of a busy one.
        has_news = any(item.WhichOneof("content") not in _NO_MAIL for item in lease.waiting)
        intervals = Intervals.of(self._settings)
        in_use = intervals.active if has_news else intervals.idle
        async with self._transactions.reading() as connection:
            mailbox, due = await mailboxes.open_mailbox(
                connection,
                lease.tenant_id,
                lease.fence,
                min(begins, default=None),
                is_polled=is_polled,
                is_watched=bool(lease.watches),
                reconcile_within=intervals.polled if is_polled else in_use,
                queues=self._work.queues,
            )
            return mailbox, await self._work.read_due(connection, lease.tenant_id, due)

    async def _release_all(self, lease: Lease, reason: str, *, delay: float = 0.0) -> None:
        """Release the remaining items, if Ingest can be reached; otherwise the lease expires."""
        until = self._clock.now() + timedelta(seconds=delay) if delay else None
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await lease.release_all(until, reason)
                await lease.end()
        except (MeshError, OSError, LeaseLostError) as exc:
            logger.warning("items not released", tenant_id=lease.tenant_id, error=type(exc).__name__)

    async def _fail_all(self, lease: Lease, error_id: str) -> None:
        """Count an attempt after an unhandled exception, and bury the items that have had all their attempts."""
        policy, detail = RetryPolicy.from_settings(self._settings, self._clock.now()), f"error {error_id}"
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                buried = [item for item in lease.waiting if item.attempts >= policy.attempts]
                await lease.bury([ReturnedItem(item.item_id, "UNEXPECTED", detail) for item in buried])
                await lease.release(
                    [
                        ReturnedItem(item.item_id, "UNEXPECTED", detail, policy.after(item.attempts))
                        for item in lease.waiting
                    ]
                )
                await lease.end()
        except (MeshError, OSError, LeaseLostError) as exc:
            logger.warning("items not released", tenant_id=lease.tenant_id, error=type(exc).__name__)


def tenant_of(lease: Lease) -> tenant_pb2.Tenant:
    """Return the tenant as the notifications alone describe it, for when no token is lent."""
    mail = next((item.mail for item in lease.waiting if item.WhichOneof("content") == "mail"), None)
    if mail is None:
        return tenant_pb2.Tenant(tenant_id=lease.tenant_id)
    return tenant_pb2.Tenant(
        tenant_id=lease.tenant_id,
        provider=mail.provider,
        external_tenant_id=mail.external_tenant_id,
        user_id=mail.user_id,
    )
