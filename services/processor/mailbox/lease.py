"""A lease on one mailbox: renewed during the work, acknowledged piece by piece, released at the end."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from services.meshkit.errors import MeshError
from services.processor.mailbox.inbox_client import InboxClient, ReturnedItem
from services.processor.mailbox.lease_endings import LeaseEndings, LeaseLostError

logger = structlog.get_logger(__name__)

_LOST = "MAILBOX_HELD"


class Lease:
    """One lease of one tenant.

    Args:
        inbox: The client of the inbox that the lease came from.
        endings: The process's leases that end.
        claimed: The lease as Ingest granted it.
    """

    def __init__(self, inbox: InboxClient, endings: LeaseEndings, claimed: inbox_pb2.TenantLease) -> None:
        self.tenant_id = claimed.tenant_id
        self.fence = claimed.fence
        self.watches: Sequence[item_pb2.Watch] = list(claimed.watches)
        self.claimed: Sequence[item_pb2.InboxItem] = tuple(claimed.items)
        """All items that the lease began with."""
        self.calendar_watches: Sequence[item_pb2.CalendarWatch] = list(claimed.calendar_watches)
        self.items: dict[str, item_pb2.InboxItem] = {item.item_id: item for item in claimed.items}
        self.has_more = claimed.has_more
        self.is_over = False
        self.is_due_again = False
        """Whether the mailbox had, or may have, further items that were due when the lease ended."""
        self._inbox = inbox
        self._endings = endings
        self._last: list[str] = []

    @property
    def waiting(self) -> list[item_pb2.InboxItem]:
        """The items that are neither acknowledged nor released, oldest first."""
        return [item for item in self.items.values() if item.item_id not in self._last]

    async def acknowledge(self, item_ids: Iterable[str]) -> None:
        """Acknowledge items whose effects are committed; the lease continues. The last ones wait for `end`."""
        ids = [item_id for item_id in item_ids if item_id in self.items]
        if not ids:
            return
        if len(ids) == len(self.items):
            self._last = ids
            return
        with _losing():
            await self._inbox.ack(self.tenant_id, self.fence, ids, keep=True)
        self._forget(ids)

    async def release(self, items: Sequence[ReturnedItem]) -> None:
        """Release items, so that they can be claimed again."""
        if items:
            with _losing():
                await self._inbox.release(self.tenant_id, self.fence, items)
            self.is_due_again = True
            self._forget(item.item_id for item in items)

    async def release_all(self, until: datetime | None, reason: str) -> None:
        """Release every waiting item until a time, without counting the attempt."""
        await self.release([ReturnedItem(item.item_id, reason, "", until, is_forgiven=True) for item in self.waiting])

    async def bury(self, items: Sequence[ReturnedItem]) -> None:
        """Turn items into dead letters."""
        if items:
            with _losing():
                await self._inbox.bury(self.tenant_id, self.fence, items)
            self.is_due_again = True
            self._forget(item.item_id for item in items)

    async def set_followed_calendars(
        self, calendars: Sequence[inbox_pb2.FollowedCalendar]
    ) -> Sequence[inbox_pb2.CalendarDelivery]:
        """State which calendars are followed, so that the provider pushes their changes. Safe to call again.

        Returns:
            How the changes of each calendar arrive now.
        """
        with _losing():
            return await self._inbox.set_followed_calendars(self.tenant_id, self.fence, calendars)

    async def end(self) -> None:
        """Acknowledge the last items and end the lease. Safe to call again."""
        if self.is_over:
            return
        was_due, self.is_due_again = self.is_due_again, True  # until the answer tells, which may be lost
        with _losing():
            if len(self._last) == len(self.items):
                is_due = await self._endings.end(self.tenant_id, self.fence, self._last, has_more=self.has_more)
            else:  # the attempts of the others count
                is_due = await self._inbox.ack(self.tenant_id, self.fence, self._last, keep=False)
            self.is_due_again = is_due or was_due
        self._forget(self._last)
        self.is_over = True

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Renew the lease while the block runs; cancel the block when the lease is lost.

        Raises:
            LeaseLostError: The lease was lost.
        """
        worker = asyncio.current_task()
        assert worker is not None  # noqa: S101 - coroutines run in tasks
        lost = asyncio.Event()
        renewal = asyncio.create_task(self._renew(worker, lost), name="lease renewal")
        try:
            yield
        except asyncio.CancelledError:
            if not lost.is_set():
                raise
            worker.uncancel()
            raise LeaseLostError from None
        finally:
            renewal.cancel()
            with suppress(asyncio.CancelledError):
                await renewal

    async def _renew(self, worker: "asyncio.Task[object]", lost: asyncio.Event) -> None:
        """Renew three times within the length of a lease; a refusal ends it."""
        while True:
            await asyncio.sleep(self._inbox.lease_seconds / 3)
            try:
                await self._inbox.extend(self.tenant_id, self.fence)
            except MeshError as exc:
                if exc.reason != _LOST:  # Ingest cannot be reached: the fence still guards the commits
                    logger.warning("lease not extended", tenant_id=self.tenant_id, error=exc.reason)
                    continue
                lost.set()
                worker.cancel()
                return

    def _forget(self, item_ids: Iterable[str]) -> None:
        for item_id in item_ids:
            self.items.pop(item_id, None)


class _losing:  # noqa: N801 - reads as the statement that it is
    """Turns MAILBOX_HELD into `LeaseLostError`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, exc: BaseException | None, _trace: object) -> None:
        if isinstance(exc, MeshError) and exc.reason == _LOST:
            raise LeaseLostError from exc
