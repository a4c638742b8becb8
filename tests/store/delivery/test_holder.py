"""A process runs one deliverer for an endpoint, and that one delivers its queue whether or not Processor answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_feed_service_pb2 as feed_pb2
from mailmesh.processor.v1 import event_pb2
from services.delivery.endpoints.conditions import checked
from services.delivery.sending.attempt import Tried
from services.delivery.sending.deliverer import Deliverer, Means
from services.delivery.sending.holder import Holder
from services.delivery.sending.slots import Slots
from services.delivery.store import leases
from services.delivery.store.rows import Delivery, EndpointRow
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.errors import Unavailable
from services.meshkit.ids import new_id
from services.meshkit.loops import cancel
from tests.store.delivery.queues import (
    ALL,
    SCHEDULE,
    TENANT,
    VALUES,
    Pool,
    delivery,
    pool,
    queued,
    tried,
    use_cases,
)

__all__ = ["pool"]
_END_ALL = "UPDATE delivery.endpoints SET leased_until = now() - interval '1 second'"


class SilentFeed:
    """A stream that does not answer."""

    async def page(self, _row: object, _count: int) -> None:
        await asyncio.Event().wait()


def delivering() -> int:
    """Counts the deliverers that run."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return sum(getattr(one, "__qualname__", "") == Deliverer.run.__qualname__ for one in coroutines)


async def test_a_claimed_endpoint_of_its_own_gets_no_second_deliverer(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed: Any = SilentFeed()
    none: Any = None
    means = Means(pool, feed, none, SCHEDULE, SystemClock(), Slots(1), 100)
    holder = Holder(means, 10, timedelta(seconds=30))
    await use_cases(pool).create(VALUES, {}, "latest")
    assert 1 == await holder.round()
    read = leases.revisions

    async def read_and_end(connection: db.Connection, lease_id: str) -> dict[str, int]:
        found = await read(connection, lease_id)
        await connection.execute(_END_ALL)
        return found

    monkeypatch.setattr(leases, "revisions", read_and_end)
    try:
        assert (1, 1) == (await holder.round(), delivering())
    finally:
        await holder.stop(0)


class AbsentFeed:
    """A stream whose service is away."""

    async def page(self, _row: object, _count: int) -> None:
        raise Unavailable


class Accepting:
    """Makes attempts that a receiver accepts."""

    def __init__(self) -> None:
        self.accepted = asyncio.Event()

    async def deliver(self, _row: object, one: Delivery) -> Tried:
        self.accepted.set()
        return tried(one, 200)


async def test_what_is_queued_is_delivered_while_processor_is_away(pool: Pool) -> None:
    feed: Any = AbsentFeed()
    attempts: Any = Accepting()
    holder = Holder(Means(pool, feed, attempts, SCHEDULE, SystemClock(), Slots(1), 100), 10, timedelta(seconds=30))
    row, _ = await use_cases(pool).create(VALUES, {}, "latest")
    await queued(pool, row, delivery("a"))
    await holder.round()
    try:
        async with asyncio.timeout(20):
            await attempts.accepted.wait()
    finally:
        await holder.stop(5)
    assert {} == await use_cases(pool).counts([row])


class LoosenedFeed:
    """A stream of one event, which the endpoint's conditions exclude until the page is under way."""

    def __init__(self, change: Callable[[EndpointRow], Awaitable[object]]) -> None:
        self.change = change

    async def page(self, row: EndpointRow, _count: int) -> feed_pb2.ReadFeedResponse:
        if row.position == "after":
            return feed_pb2.ReadFeedResponse(next_cursor="after")
        if row.conditions:
            await self.change(row)
        mail = mail_pb2.NormalizedMailEvent(event_id=new_id(), tenant_id=TENANT, event_type="mail.created")
        mail.message.subject = "offer"
        return feed_pb2.ReadFeedResponse(events=[event_pb2.Event(mail=mail)], next_cursor="after")


async def test_a_page_is_read_again_when_a_caller_changes_the_conditions_meanwhile(pool: Pool) -> None:
    callers = use_cases(pool)
    narrow = pb2.EndpointCondition(field=pb2.ENDPOINT_CONDITION_FIELD_SUBJECT, values=["invoice"])
    await callers.create({**VALUES, "conditions": checked([narrow])}, {}, "latest")
    feed: Any = LoosenedFeed(lambda row: callers.update(row.endpoint_id, ALL, {"conditions": b""}, None))
    attempts: Any = Accepting()
    holder = Holder(Means(pool, feed, attempts, SCHEDULE, SystemClock(), Slots(1), 100), 10, timedelta(seconds=30))
    await holder.round()
    try:
        async with asyncio.timeout(20):
            await attempts.accepted.wait()
    finally:
        await holder.stop(5)


class Freezing:
    """Makes attempts that a receiver accepts; in the first one the process freezes until its lease has ended."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.sent: list[str] = []

    async def deliver(self, _row: object, one: Delivery) -> Tried:
        self.sent.append(one.event_id)
        if len(self.sent) == 1:
            async with db.connection(self.pool) as connection:
                await connection.execute(_END_ALL)
            time.sleep(1.2)  # noqa: ASYNC251 - nothing of a frozen process runs
        return tried(one, 200)


async def test_a_process_that_was_frozen_beyond_its_lease_sends_nothing_more(pool: Pool) -> None:
    feed: Any = AbsentFeed()
    attempts: Any = Freezing(pool)
    row, _ = await use_cases(pool).create({**VALUES, "concurrency": 1}, {}, "latest")
    first = delivery("a")
    await queued(pool, row, first, delivery("b"))
    lease_id = new_id()
    async with db.connection(pool) as connection:
        await leases.claim(connection, lease_id, timedelta(seconds=30), 1)
    means = Means(pool, feed, attempts, SCHEDULE, SystemClock(), Slots(1), 100)
    async with asyncio.timeout(20):
        await Deliverer(row.endpoint_id, lease_id, means).run()
    assert [first.event_id] == attempts.sent


class SlowFeed:
    """A stream that answers once a caller has changed the endpoint, and later than a check of the lease counts."""

    def __init__(self, change: Callable[[str], Awaitable[object]]) -> None:
        self.change = change

    async def page(self, row: EndpointRow, _count: int) -> feed_pb2.ReadFeedResponse:
        await self.change(row.endpoint_id)
        await asyncio.sleep(1.2)
        return feed_pb2.ReadFeedResponse(next_cursor=row.position)


class Noting:
    """Makes attempts that a receiver accepts, and notes their addresses."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.accepted = asyncio.Event()

    async def deliver(self, row: EndpointRow, one: Delivery) -> Tried:
        self.urls.append(row.url)
        self.accepted.set()
        return tried(one, 200)


async def slowly_read(pool: Pool, change: Callable[[str], Awaitable[object]], attempts: Any) -> asyncio.Task[None]:
    feed: Any = SlowFeed(change)
    row, _ = await use_cases(pool).create(VALUES, {}, "latest")
    await queued(pool, row, delivery("a"))
    lease_id = new_id()
    async with db.connection(pool) as connection:
        await leases.claim(connection, lease_id, timedelta(seconds=30), 1)
    means = Means(pool, feed, attempts, SCHEDULE, SystemClock(), Slots(1), 100)
    return asyncio.create_task(Deliverer(row.endpoint_id, lease_id, means).run())


async def test_an_endpoint_that_is_paused_while_events_are_read_gets_none(pool: Pool) -> None:
    attempts = Noting()
    run = await slowly_read(pool, lambda endpoint_id: use_cases(pool).pause(endpoint_id, ALL), attempts)
    async with asyncio.timeout(20):
        await run
    assert [] == attempts.urls


async def test_an_address_that_changes_while_events_are_read_gets_them(pool: Pool) -> None:
    attempts, later = Noting(), "https://later.example.com/hooks"
    callers = use_cases(pool)
    run = await slowly_read(pool, lambda one: callers.update(one, ALL, {"url": later}, None), attempts)
    async with asyncio.timeout(20):
        await attempts.accepted.wait()
    await cancel([run])
    assert [later] == attempts.urls
