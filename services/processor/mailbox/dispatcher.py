"""Claim leases for a worker process: as many as it has room for, on each wake-up, and every second in any case.

A wake-up only makes the dispatcher claim earlier: a lost, late or repeated wake-up changes nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from services.meshkit.guard import Guard
from services.meshkit.loops import IDLE_ROUNDS
from services.processor.mailbox.inbox_client import InboxClient
from services.processor.mailbox.lease_endings import LeaseEndings
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)

_LONGEST_PAUSE_SECONDS = 5.0

Process = Callable[[inbox_pb2.TenantLease], Awaitable[bool]]
"""Processes a lease, and returns whether the mailbox is due again at once."""
DueTenants = Callable[[int], Awaitable[Sequence[str]]]
"""Returns the ids of tenants with work due in Processor's own queue, at most as many as asked for."""


class Dispatcher:
    """Claims leases and processes each in a task of its own, a bounded number at a time.

    Its sweeps follow each other more slowly when several in a row found nothing, as in `PeriodicLoop`.

    Args:
        inbox: The source of leases.
        endings: The process's leases that end; its claims take them along.
        due_tenants: The query of Processor's own queue.
        process: Processes a lease. Raises only cancellation.
        settings: Bounds.
        idle_factor: Times by which the pauses between idle sweeps are longer: wake-ups tell of new work.
    """

    def __init__(
        self,
        inbox: InboxClient,
        endings: LeaseEndings,
        due_tenants: DueTenants,
        process: Process,
        settings: ProcessorSettings,
        idle_factor: float = 1.0,
    ) -> None:
        self._inbox = inbox
        self._endings = endings
        self._due_tenants = due_tenants
        self._process = process
        self._settings = settings
        self._woken = asyncio.Event()
        self._running: dict[asyncio.Task[bool], str] = {}
        self._was_full = False
        self._is_closing = False
        self._idle_factor = idle_factor
        self._idle_sweeps = 0

    @property
    def held(self) -> int:
        """The number of mailboxes that are being processed now."""
        return len(self._running)

    async def wake(self, _key: str = "") -> None:
        """Make the dispatcher claim now. Safe to call again."""
        self._woken.set()

    async def run(self) -> None:
        """Claim on each wake-up and every sweep until cancelled; then let the running work end.

        Work that is not done within the grace is cancelled, and releases its items.
        """
        self._endings.open(self._woken.set)
        try:
            await Guard("dispatcher", self._settings.sweep_seconds, _LONGEST_PAUSE_SECONDS).until_cancelled(self._round)
        finally:
            self._is_closing = True
            self._endings.close()
            await self._close()

    async def sweep(self) -> int:
        """Claim the mailboxes with entries due in Processor's own queue; for a periodic loop.

        Returns:
            The number of mailboxes claimed.

        Raises:
            MeshError: PostgreSQL or Ingest cannot be reached.
        """
        if not self._may_take():
            return 0
        taken = 0
        for tenant_id in await self._due_tenants(self._room):
            if tenant_id in self._running.values() or not self._may_take():
                continue
            answer = await self._inbox.claim(self._settings.claim_items, 1, tenant_id, hold_idle=True)
            taken += self._start(answer.leases)
        return taken

    def _may_take(self) -> bool:
        # Checked again after each wait: closing may have begun, and the room may be taken.
        return self._room > 0 and not self._is_closing

    @property
    def _room(self) -> int:
        """Below 0 while mailboxes whose leases have ended are still counted."""
        return self._settings.tenants_at_once - len(self._running)

    async def _round(self) -> None:
        factor = self._idle_factor if self._idle_sweeps >= IDLE_ROUNDS else 1.0
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.sweep_seconds * factor):
                await self._woken.wait()
        self._idle_sweeps = 0 if self._woken.is_set() else self._idle_sweeps + 1
        self._woken.clear()
        await self._take_all()
        if self._running:
            self._idle_sweeps = 0

    async def _take_all(self) -> None:
        """Claim until nothing is due or no room is left."""
        self._was_full = False
        # The mailboxes whose leases end with the claim make room for others.
        while (room := self._room + self._endings.next_count) > 0:
            wanted = min(room, self._settings.claim_items, 50)
            # A claim that does not fill its bound has found everything that is due.
            if self._start(await self._endings.claim(self._settings.claim_items, wanted)) < wanted:
                return
        self._was_full = True

    def _start(self, leases: Sequence[inbox_pb2.TenantLease]) -> int:
        for lease in leases:
            task = asyncio.create_task(self._one(lease), name=f"mailbox {lease.tenant_id}")
            self._running[task] = lease.tenant_id
            task.add_done_callback(self._ended)
        return len(leases)

    async def _one(self, claimed: inbox_pb2.TenantLease) -> bool:
        return await self._process(claimed)

    def _ended(self, task: "asyncio.Task[bool]") -> None:
        """Claim again when this mailbox is due again, or when an earlier claim had found no room for others."""
        self._running.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            logger.error("mailbox task failed", exc_info=failure)
        if self._was_full or failure is not None or (not task.cancelled() and task.result()):
            self._woken.set()

    async def _close(self) -> None:
        if self._running:
            _, late = await asyncio.wait(list(self._running), timeout=self._settings.grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
