"""The worker's client of the inbox: claim, extend, acknowledge, release, bury."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceAsyncStub
from services.processor.metrics import ITEMS, STEP_SECONDS

_CALL_SECONDS = 10.0
_ENDINGS_SECONDS = 3.0
"""For a claim that ends leases: until its answer their mailboxes wait."""
_DETAIL_CHARACTERS = 500
_NOTIFICATIONS = frozenset({"mail", "mailbox_changed", "calendar_changed"})


@dataclass(frozen=True)
class ReturnedItem:
    """An item that is released or buried.

    Args:
        item_id: The item's id.
        reason: A reason from the error catalogue.
        detail: A sentence for people, without content or secret.
        not_before: When it is due again; None means at once.
        is_forgiven: Whether the attempt is not counted: the item was not at fault.
    """

    item_id: str
    reason: str = ""
    detail: str = ""
    not_before: datetime | None = None
    is_forgiven: bool = False

    def message(self) -> inbox_pb2.ReleasedItem:
        """Return the message for the wire."""
        shown = inbox_pb2.ReleasedItem(
            item_id=self.item_id,
            reason=self.reason,
            detail=self.detail[:_DETAIL_CHARACTERS],
            is_attempt_forgiven=self.is_forgiven,
        )
        if self.not_before is not None:
            shown.not_before.FromDatetime(self.not_before)
        return shown


class InboxClient:
    """InboxService for one worker process.

    Args:
        stub: The client of Ingest.
        worker_id: The name of the process.
        lease_seconds: The length of a lease, in seconds.
    """

    def __init__(self, stub: InboxServiceAsyncStub, worker_id: str, lease_seconds: int) -> None:
        self._stub = stub
        self.worker_id = worker_id
        self.lease_seconds = lease_seconds
        self._lease = Duration(seconds=lease_seconds)

    async def claim(
        self,
        max_items: int,
        max_tenants: int,
        tenant_id: str = "",
        *,
        hold_idle: bool = False,
        endings: Sequence[inbox_pb2.LeaseEnding] = (),
    ) -> inbox_pb2.ClaimItemsResponse:
        """Claim due items.

        Args:
            max_items: The largest number of items over all tenants.
            max_tenants: The largest number of tenants.
            tenant_id: The only tenant to claim for; empty means any.
            hold_idle: Whether that tenant is also leased when it has no due item.
            endings: Leases that end before anything is claimed.

        Raises:
            MeshError: Ingest or its database cannot be reached.
        """
        request = inbox_pb2.ClaimItemsRequest(
            worker_id=self.worker_id,
            max_items=max_items,
            max_tenants=max_tenants,
            lease=self._lease,
            tenant_id=tenant_id,
            hold_idle=hold_idle,
            endings=endings,
        )
        started = time.perf_counter()
        answer = await self._stub.ClaimItems(request, timeout=_ENDINGS_SECONDS if endings else _CALL_SECONDS)
        if answer.leases:
            STEP_SECONDS.labels("claim").observe(time.perf_counter() - started)
            _observe_queued(answer.leases)
        for ending, ended in zip(endings, answer.endings, strict=False):  # an earlier Ingest answers none
            ITEMS.labels("done").inc(0 if ended.is_lost else len(ending.item_ids))
        return answer

    async def extend(self, tenant_id: str, fence: int) -> None:
        """Extend a lease. Raises `MeshError` with MAILBOX_HELD when it is lost. Safe to call again."""
        request = inbox_pb2.ExtendLeaseRequest(tenant_id=tenant_id, fence=fence, lease=self._lease)
        await self._stub.ExtendLease(request, timeout=_CALL_SECONDS)

    async def ack(self, tenant_id: str, fence: int, item_ids: Iterable[str], *, keep: bool) -> bool:
        """Acknowledge items. Without `keep` the lease ends. Safe to call again.

        Returns:
            Whether the lease has ended and the mailbox is due again at once.
        """
        request = inbox_pb2.AckItemsRequest(tenant_id=tenant_id, fence=fence, item_ids=item_ids, keep_lease=keep)
        answer = await self._stub.AckItems(request, timeout=_CALL_SECONDS)
        ITEMS.labels("done").inc(len(request.item_ids))
        return answer.is_due

    async def release(self, tenant_id: str, fence: int, items: Iterable[ReturnedItem]) -> None:
        """Release items. Safe to call again."""
        request = inbox_pb2.ReleaseItemsRequest(
            tenant_id=tenant_id, fence=fence, items=[item.message() for item in items]
        )
        await self._stub.ReleaseItems(request, timeout=_CALL_SECONDS)
        ITEMS.labels("released").inc(len(request.items))

    async def bury(self, tenant_id: str, fence: int, items: Iterable[ReturnedItem]) -> None:
        """Turn items into dead letters. Safe to call again."""
        request = inbox_pb2.BuryItemsRequest(tenant_id=tenant_id, fence=fence, items=[item.message() for item in items])
        await self._stub.BuryItems(request, timeout=_CALL_SECONDS)
        ITEMS.labels("buried").inc(len(request.items))

    async def set_followed_calendars(
        self, tenant_id: str, fence: int, calendars: Sequence[inbox_pb2.FollowedCalendar]
    ) -> Sequence[inbox_pb2.CalendarDelivery]:
        """State which calendars of a tenant are followed; return how their changes arrive. Safe to call again."""
        request = inbox_pb2.SetFollowedCalendarsRequest(tenant_id=tenant_id, fence=fence, calendars=calendars)
        return (await self._stub.SetFollowedCalendars(request, timeout=_CALL_SECONDS)).deliveries

    async def enqueue_reconcile(
        self,
        tenant_id: str,
        reason: "item_pb2.ReconcileReason.ValueType",
        delay: timedelta = timedelta(),
        now: datetime | None = None,
    ) -> None:
        """Put a reconciliation of a mailbox into the inbox. One that is already waiting is not doubled."""
        request = inbox_pb2.EnqueueReconcileRequest(tenant_id=tenant_id, reason=reason)
        if delay and now is not None:
            due = Timestamp()
            due.FromDatetime(now + delay)
            request.not_before.CopyFrom(due)
        await self._stub.EnqueueReconcile(request, timeout=_CALL_SECONDS)


def _observe_queued(leases: Iterable[inbox_pb2.TenantLease]) -> None:
    """Observe the time since acceptance of notifications that are claimed for the first time."""
    now = time.time()
    for lease in leases:
        for item in lease.items:
            if item.attempts == 1 and item.WhichOneof("content") in _NOTIFICATIONS:
                STEP_SECONDS.labels("queued").observe(max(0.0, now - item.received_at.ToNanoseconds() / 1e9))
