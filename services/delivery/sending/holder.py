"""Hold endpoints by lease, and run a deliverer for each."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import structlog

from mailmesh.processor.v1 import event_pb2
from services.delivery import metrics
from services.delivery.sending.bodies import matches
from services.delivery.sending.deliverer import Deliverer, Means
from services.delivery.store import leases
from services.delivery.store.rows import EndpointRow
from services.meshkit import db
from services.meshkit.errors import StoreUnavailable
from services.meshkit.ids import new_id
from services.meshkit.loops import cancel

logger = structlog.get_logger(__name__)

_CLAIMED_AT_ONCE = 100


@dataclass
class _Held:
    row: EndpointRow
    deliverer: Deliverer
    task: "asyncio.Task[None]"


class Holder:
    """Holds as many endpoints as it may. Several processes share the endpoints; a killed one's leases end.

    Args:
        means: The parts that deliverers work with.
        most: The largest number of endpoints.
        lease: The duration of a lease.
    """

    def __init__(self, means: Means, most: int, lease: timedelta) -> None:
        self._means = means
        self._most = most
        self._lease = lease
        self._lease_id = new_id()
        self._held: dict[str, _Held] = {}
        self._next_extension = 0.0
        self._is_stopping = False

    async def round(self) -> int:
        """Extend leases, end lost ones, notice changes, claim free ones; return the number of claimed ones.

        Raises:
            StoreUnavailable: PostgreSQL does not answer. Deliverers go on until their leases end.
        """
        if self._is_stopping:
            return 0
        await self._drop_ended()
        if self._held:
            await self._keep()
        return await self._claim()

    @property
    def is_holding(self) -> bool:
        """Whether there is an endpoint to deliver to."""
        return bool(self._held)

    def concerned(self, event: event_pb2.Event) -> Iterator[Deliverer]:
        """Yield the deliverers whose endpoints want an event."""
        return (one.deliverer for one in self._held.values() if matches(one.row, event))

    def wake_all(self) -> None:
        """Let all deliverers look for events: some may have been missed."""
        for one in self._held.values():
            one.deliverer.wake(has_news=True)

    async def stop(self, grace_seconds: float) -> None:
        """Let the requests under way end, then give all leases back, so that other processes go on at once."""
        self._is_stopping = True
        for one in self._held.values():
            one.deliverer.stop()
        tasks = [one.task for one in self._held.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_seconds)
        await cancel(tasks)
        try:
            async with db.connection(self._means.pool) as connection:
                await leases.release(connection, self._lease_id)
        except StoreUnavailable as exc:
            logger.warning("leases stay until they end", reason=exc.reason)

    async def _keep(self) -> None:
        async with db.connection(self._means.pool) as connection:
            if time.monotonic() >= self._next_extension:
                await leases.extend(connection, self._lease_id, self._lease)
                self._next_extension = time.monotonic() + self._lease.total_seconds() / 3
            held = await leases.revisions(connection, self._lease_id)
        await cancel(self._held.pop(one).task for one in [*self._held] if one not in held)
        await self._notice({one: revision for one, revision in held.items() if one in self._held})

    async def _drop_ended(self) -> None:
        ended = [endpoint_id for endpoint_id, one in self._held.items() if one.task.done()]
        if not ended:
            return
        async with db.connection(self._means.pool) as connection:
            await leases.release(connection, self._lease_id, ended)
        for endpoint_id in ended:
            self._held.pop(endpoint_id)

    async def _notice(self, revisions: dict[str, int]) -> None:
        for endpoint_id, revision in revisions.items():
            known = self._held[endpoint_id]
            if revision == known.row.revision:
                continue
            async with db.connection(self._means.pool) as connection:
                row = await leases.held(connection, self._lease_id, endpoint_id)
            known.row = row or known.row
            known.deliverer.wake(has_news=True)

    async def _claim(self) -> int:
        room = min(self._most - len(self._held), _CLAIMED_AT_ONCE)
        claimed: list[EndpointRow] = []
        if room > 0:
            async with db.connection(self._means.pool) as connection:
                claimed = await leases.claim(connection, self._lease_id, self._lease, room)
        # A lease that ended a moment ago is claimed by its own holder: its deliverer must end before the next begins.
        await cancel([self._held.pop(row.endpoint_id).task for row in claimed if row.endpoint_id in self._held])
        for row in claimed:
            deliverer = Deliverer(row.endpoint_id, self._lease_id, self._means)
            self._held[row.endpoint_id] = _Held(row, deliverer, asyncio.create_task(deliverer.run()))
        metrics.ENDPOINTS_HELD.set(len(self._held))
        return len(claimed)
