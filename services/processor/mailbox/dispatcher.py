"""Where a worker process takes work: as much as it has room for, as soon as it is told, and every second in any case.

A wake-up only makes the desk look. Whether it is lost, late or doubled changes nothing but when the desk looks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from services.meshkit.errors import MeshError
from services.processor.mail.commit import Commits
from services.processor.mail.store import lookups
from services.processor.mailbox.inbox_client import Inbox
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)

Work = Callable[[inbox_pb2.TenantLease], Awaitable[None]]


class Desk:
    """Claims leases and has each worked in a task of its own, a bounded number at a time.

    Args:
        inbox: Where work comes from.
        commits: For Processor's own queue.
        work: What to do with a lease. Raises nothing but cancellation.
        settings: Bounds.
    """

    def __init__(self, inbox: Inbox, commits: Commits, work: Work, settings: ProcessorSettings) -> None:
        self._inbox = inbox
        self._commits = commits
        self._work = work
        self._settings = settings
        self._told = asyncio.Event()
        self._running: dict[asyncio.Task[None], str] = {}
        self._is_closing = False

    @property
    def held(self) -> int:
        """How many mailboxes are worked now."""
        return len(self._running)

    async def wake(self, _key: str = "") -> None:
        """Makes the desk look. Safe to call again."""
        self._told.set()

    async def run(self) -> None:
        """Looks for items whenever told, and every sweep, until it is cancelled; then lets the running work end.

        What is not done within the grace is cancelled, and gives back what it holds.
        """
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.sweep_seconds):
                        await self._told.wait()
                self._told.clear()
                await self._guarded(self._take_all)
        finally:
            self._is_closing = True
            await self._close()

    async def sweep(self) -> int:
        """Takes mailboxes for which messages have to be looked at again; for a periodic loop.

        Returns:
            How many were taken.

        Raises:
            MeshError: A store or Ingest is away.
        """
        if not self._may_take():
            return 0
        async with self._commits.reading() as connection:
            tenants = await lookups.due_tenants(connection, self._free)
        taken = 0
        for tenant_id in tenants:
            if tenant_id in self._running.values() or not self._may_take():
                continue
            taken += self._start(await self._inbox.claim(self._settings.claim_items, 1, tenant_id, hold_idle=True))
        return taken

    def _may_take(self) -> bool:
        # Asked anew after each wait: closing may have begun, and room may be gone.
        return self._free > 0 and not self._is_closing

    @property
    def _free(self) -> int:
        return max(0, self._settings.tenants_at_once - len(self._running))

    async def _guarded(self, take: Callable[[], Awaitable[None]]) -> None:
        try:
            await take()
        except MeshError as exc:  # Ingest is away: the next sweep asks again
            logger.warning("nothing claimed", error=exc.reason)

    async def _take_all(self) -> None:
        """Claims until nothing is due or there is no more room."""
        while self._free:
            leases = await self._inbox.claim(self._settings.claim_items, min(self._free, 50))
            if not self._start(leases):
                return

    def _start(self, leases: Sequence[inbox_pb2.TenantLease]) -> int:
        for lease in leases:
            task = asyncio.create_task(self._one(lease), name=f"mailbox {lease.tenant_id}")
            self._running[task] = lease.tenant_id
            task.add_done_callback(self._ended)
        return len(leases)

    async def _one(self, lease: inbox_pb2.TenantLease) -> None:
        await self._work(lease)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Room again, and a mailbox whose new items could not be claimed while it was held."""
        self._running.pop(task, None)
        self._told.set()
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.error("work on a mailbox ended badly", exc_info=failure)

    async def _close(self) -> None:
        if self._running:
            _, late = await asyncio.wait(list(self._running), timeout=self._settings.grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
