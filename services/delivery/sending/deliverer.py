"""Deliver to one endpoint: read its next events into its queue, and send what is due, in order per message."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from mailmesh.processor.v1 import event_pb2
from services.delivery.endpoints import conditions
from services.delivery.sending import bodies
from services.delivery.sending.attempt import Attempts, Tried
from services.delivery.sending.feed import Feed
from services.delivery.sending.notices import note_change
from services.delivery.sending.pace import Pace
from services.delivery.sending.results import record
from services.delivery.sending.schedule import Schedule
from services.delivery.sending.slots import Slots
from services.delivery.store import deliveries, endpoints, leases
from services.delivery.store.rows import DELIVERING, Delivery, EndpointRow, State
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.guard import Guard
from services.meshkit.loops import cancel

logger = structlog.get_logger(__name__)

_PAGE = 200
_READ_BELOW = 400
"""Events are read while fewer deliveries than this are due: the rest stays in the stream."""
_LOOK_SECONDS = 60.0
"""The interval at which the position moves past events that the filter excludes: retention must not reach it."""
_HELD_SECONDS = 1.0
"""The age of a check of the lease at which a delivery waits for another check: the process may have been frozen."""
_BUSY_SECONDS = 0.25
_AHEAD, _MOST_AHEAD = 4, 200
"""Deliveries that are read ahead of their turn, for each concurrent request and at most, so that one round records and
reads many of them."""
_RECORD_SECONDS = 0.02
"""The time for which ended attempts gather while deliveries that were read ahead follow them."""
_AWAY_SECONDS = 5.0
"""The pause before events are read again while Processor is away."""
_LONGEST_PAUSE_SECONDS = 30.0
_LOST = ("CURSOR_EXPIRED", "CURSOR_EPOCH_CHANGED", "CURSOR_INVALID")


@dataclass(frozen=True)
class Means:
    """The parts that all deliverers of a process share.

    Args:
        pool: Connections to PostgreSQL.
        feed: The event stream.
        attempts: Makes attempts.
        schedule: The times of attempts.
        clock: The time.
        slots: The bound of requests.
        waiting: The largest number of deliveries in an endpoint's queue.
    """

    pool: db.Pool
    feed: Feed
    attempts: Attempts
    schedule: Schedule
    clock: Clock
    slots: Slots
    waiting: int


class Deliverer:
    """Delivers to one endpoint while the process holds its lease.

    Args:
        endpoint_id: The endpoint.
        lease_id: The lease.
        means: The parts that it works with.
    """

    def __init__(self, endpoint_id: str, lease_id: str, means: Means) -> None:
        self._endpoint_id = endpoint_id
        self._lease_id = lease_id
        self._means = means
        self._running: dict[asyncio.Task[Tried], Delivery] = {}
        self._under_way = 0
        self._ahead: deque[tuple[EndpointRow, Delivery]] = deque()
        self._unrecorded: list[Tried] = []
        self._woken = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self._pace = Pace()
        self._next_look = 0.0
        self._held_at = 0.0
        self._is_stopping = False
        self._is_over = False

    def wake(self, *, has_news: bool = False) -> None:
        """Check again at once. Safe to call again.

        Args:
            has_news: Whether there may be new events for the endpoint.
        """
        if has_news:
            self._next_look = 0.0
        self._woken.set()

    def stop(self) -> None:
        """Send nothing more, and end after the answers to what is under way. Safe to call again."""
        self._is_stopping = True
        self.wake()

    async def run(self) -> None:
        """Deliver until the endpoint pauses or ends, the lease is lost, or `stop` was called."""
        guard = Guard("deliver", longest_seconds=_LONGEST_PAUSE_SECONDS)
        try:
            while not self._is_over:
                await guard.attempt(self._round)
                if guard.failures and not self._is_over:
                    await asyncio.sleep(guard.pause_seconds)
        finally:
            self._ahead.clear()
            await cancel(self._running)
            self._gather_no_more()

    async def _round(self) -> None:
        self._woken.clear()
        self._gather_no_more()
        row = await self._settled()
        is_delivering = row is not None and row.state in DELIVERING and not self._is_stopping
        if not is_delivering:
            self._ahead.clear()
        if row is None or not (is_delivering or self._running):
            self._is_over = True
            return
        seconds = _LOOK_SECONDS
        if is_delivering:
            until_read = await self._read(row)
            row = await self._checked_again(row)
            seconds = 0.0 if row is None else min(until_read, await self._start(row))
        await self._wait(seconds)

    async def _settled(self) -> EndpointRow | None:
        """Record the ended attempts, and return the endpoint; None when it is not ours any more."""
        failure: BaseException | None = None
        for task in [one for one in self._running if one.done()]:
            del self._running[task]
            if task.exception() is None:
                self._unrecorded.append(task.result())
            failure = failure or task.exception()
        means, checked_at = self._means, time.monotonic()
        if self._unrecorded:
            done = (self._endpoint_id, self._unrecorded)
            row = await record(means.pool, self._lease_id, *done, means.schedule, means.clock.now())
            self._unrecorded = []
        else:
            async with db.connection(means.pool) as connection:
                row = await leases.held(connection, self._lease_id, self._endpoint_id)
        if row is not None:
            self._held_at = checked_at
        if failure is not None:
            raise failure
        return row

    async def _checked_again(self, row: EndpointRow) -> EndpointRow | None:
        """Return the endpoint once Processor has answered, which takes seconds when it is slow; None if it has ended.

        Meanwhile a caller may have paused it or given it another address, and another process may hold the lease.
        """
        checked_at = time.monotonic()
        if checked_at - self._held_at <= _HELD_SECONDS:
            return row
        async with db.connection(self._means.pool) as connection:
            now = await leases.held(connection, self._lease_id, self._endpoint_id)
        if now is None or now.state not in DELIVERING:
            return None
        self._held_at = checked_at
        return now

    async def _read(self, row: EndpointRow) -> float:
        """Move the next events from the stream into the queue, unless enough wait there already.

        Returns:
            The seconds until the next reading. While the queue is full, the end of a request hastens it.
        """
        if (seconds := self._next_look - time.monotonic()) > 0:
            return seconds
        async with db.connection(self._means.pool) as connection:
            waiting, due = await deliveries.count(connection, self._endpoint_id)
        if due >= _READ_BELOW or waiting >= self._means.waiting:
            return _LOOK_SECONDS
        self._next_look = time.monotonic() + _LOOK_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load
        try:
            page = await self._means.feed.page(row, _PAGE)
        except MeshError as exc:
            if exc.reason in _LOST:
                self._next_look = 0.0
                await self._disable(exc.reason)
                return _LOOK_SECONDS
            # The queue is delivered meanwhile.
            logger.warning("events cannot be read now", endpoint_id=self._endpoint_id, reason=exc.reason)
            self._next_look = time.monotonic() + _AWAY_SECONDS
            return _AWAY_SECONDS
        if page.next_cursor != row.position:
            await self._keep(row, await _chosen(row, page.events), page.next_cursor)
        if page.has_more:
            self._next_look = 0.0
        return max(self._next_look - time.monotonic(), 0.0)

    async def _keep(self, row: EndpointRow, new: list[Delivery], position: str) -> None:
        """Commit deliveries with the position behind them, unless a caller has changed the endpoint meanwhile."""
        async with db.transaction(self._means.pool) as connection:
            held = await leases.held(connection, self._lease_id, self._endpoint_id, lock=True)
            if held is None or (held.position, held.revision) != (row.position, row.revision):
                self._next_look = 0.0
                return
            if new:
                await deliveries.insert(connection, self._endpoint_id, new)
            await endpoints.note(connection, self._endpoint_id, {"position": position})

    async def _disable(self, reason: str) -> None:
        async with db.transaction(self._means.pool) as connection:
            row = await leases.held(connection, self._lease_id, self._endpoint_id, lock=True)
            if row is not None:
                ended = {"state": State.DISABLED, "reason": reason}
                changed = await endpoints.note(connection, self._endpoint_id, ended)
                await note_change(connection, row, changed, self._means.clock.now())
        logger.warning("endpoint lost its position", endpoint_id=self._endpoint_id, reason=reason)
        self._woken.set()

    async def _start(self, row: EndpointRow) -> float:
        """Start the due deliveries; return the seconds until the next check."""
        now = self._means.clock.now()
        if row.throttled_until is not None and row.throttled_until > now:
            return (row.throttled_until - now).total_seconds()
        self._ahead.clear()
        free = (1 if row.state is State.FAILING else row.concurrency) - self._under_way
        if free <= 0:
            return _LOOK_SECONDS
        paced = min(free, self._pace.ready(row.rate)) if row.rate else free
        if not paced:
            return self._pace.seconds(row.rate)
        # Those that have ended and are not recorded yet are still in the queue.
        busy = [one.order_key for one in self._running.values()]
        ahead = min(_AHEAD * row.concurrency, _MOST_AHEAD) if row.state is State.ACTIVE and not row.rate else 0
        async with db.connection(self._means.pool) as connection:
            # A new event tells whether the receiver is back; one that it refused before may be refused for what it is.
            probes = row.state is State.FAILING
            found = await deliveries.following(connection, self._endpoint_id, busy, paced + ahead, prefers_new=probes)
        for place, delivery in enumerate(found):
            if delivery.wait_seconds > 0:
                return delivery.wait_seconds if place < paced else _LOOK_SECONDS
            if place >= paced:
                self._ahead.append((row, delivery))
            elif not self._launch(row, delivery):
                return _BUSY_SECONDS
            else:
                self._pace.take()
        return self._pace.seconds(row.rate) if paced < free and found else _LOOK_SECONDS

    def _launch(self, row: EndpointRow, delivery: Delivery) -> bool:
        needs_slot = self._under_way > 0
        if needs_slot and not self._means.slots.take():
            return False
        task = asyncio.create_task(self._means.attempts.deliver(row, delivery))
        self._running[task] = delivery
        self._under_way += 1
        task.add_done_callback(lambda done: self._ended(done, had_slot=needs_slot))
        return True

    def _ended(self, done: "asyncio.Task[Tried]", *, had_slot: bool) -> None:
        """Let the next delivery of this round follow a success at once: recording takes longer than a quick answer."""
        self._under_way -= 1
        if had_slot:
            self._means.slots.give()
        if done.cancelled() or done.exception() is not None or not done.result().outcome.is_delivered:
            self._ahead.clear()
        if time.monotonic() - self._held_at > _HELD_SECONDS:
            self._ahead.clear()  # another process may hold the lease by now: the next round checks it
        is_followed = bool(self._ahead) and not self._is_stopping and self._launch(*self._ahead.popleft())
        if not is_followed:
            self._woken.set()
        elif self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_RECORD_SECONDS, self._woken.set)

    def _gather_no_more(self) -> None:
        """End the time for which ended attempts gather."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return


async def _chosen(row: EndpointRow, events: Iterable[event_pb2.Event]) -> list[Delivery]:
    """Return the deliveries of the events that the endpoint's conditions choose."""
    chosen, new = conditions.Conditions(conditions.read(row.conditions)), list[Delivery]()
    for event in events:
        if chosen.hold(event):
            new.append(bodies.delivery_of(event))
        # A mail may have thousands of recipients: the other endpoints' deliverers run between two events.
        await asyncio.sleep(0)
    return new
