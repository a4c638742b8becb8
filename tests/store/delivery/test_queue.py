"""The queue of an endpoint on a real PostgreSQL: order per message, leases, limits, deletion."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.delivery.endpoints.secrets import Sealer
from services.delivery.endpoints.use_cases import Endpoints, Scope
from services.delivery.errors import AttemptNotFound, EndpointLimitReached, EndpointNotFound
from services.delivery.sending.attempt import Tried
from services.delivery.sending.results import record
from services.delivery.sending.retention import Retention
from services.delivery.sending.schedule import FAILING_AFTER, Outcome, Schedule
from services.delivery.store import attempts, deliveries, endpoints, leases
from services.delivery.store.rows import AttemptRow, Count, Delivery, EndpointRow, Place, State
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.erasing import Plan, erase_rows
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from tests.programs.postgres import TestDatabase

Pool = "asyncpg.Pool[Any]"
LEASE = timedelta(seconds=30)
DAY = timedelta(days=1)
TENANT, OTHER = new_id(), new_id()
ALL = Scope()
SCHEDULE = Schedule((timedelta(hours=1),) * 2, timedelta(minutes=5), timedelta(hours=1), 5 * DAY)
VALUES = {
    "url": "https://receiver.example.com/hooks",
    "display_name": "",
    "tenant_ids": [],
    "providers": [],
    "event_types": ["mail.*"],
    "view": 1,
    "timeout_ms": 15_000,
    "concurrency": 8,
    "signature": 1,
    "created_by": "key",
}


class Stream:
    """A stream that stands at one place, and whose events are of one tenant."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    async def position(self, cursor: str) -> str:
        return cursor

    async def since(self, row: EndpointRow, moment: datetime) -> Place:
        return Place(row.position, Count(0))

    async def delivery(self, event_id: str) -> Delivery:
        return Delivery(event_id, self.tenant, "mail.created", "a", b"{}")


@pytest.fixture
async def pool(delivery_database: TestDatabase) -> AsyncIterator[Pool]:
    async with open_pool(Secret(delivery_database.url), "test", DatabaseLimits(connections=8)) as opened:
        yield opened


def use_cases(pool: Pool, limit: int = 10, tenant: str = TENANT) -> Endpoints:
    return Endpoints(pool, Sealer({"one": os.urandom(32)}), Stream(tenant), limit, lambda: None, SystemClock())


async def held(pool: Pool, lease_id: str, **values: object) -> EndpointRow:
    """Creates an endpoint and leases it."""
    await use_cases(pool).create({**VALUES, **values}, {}, "latest")
    async with db.connection(pool) as connection:
        [row] = await leases.claim(connection, lease_id, LEASE, 10)
    return row


def delivery(message: str, number: int = 0, tenant: str = TENANT) -> Delivery:
    return Delivery(new_id(), tenant, f"mail.{number}", message, b"{}")


async def queued(pool: Pool, row: EndpointRow, *new: Delivery) -> list[str]:
    """Adds deliveries, and returns the ids that can be sent now."""
    async with db.transaction(pool) as connection:
        await deliveries.insert(connection, row.endpoint_id, new)
    return await ready(pool, row)


async def ready(pool: Pool, row: EndpointRow, *busy: str) -> list[str]:
    async with db.connection(pool) as connection:
        found = await deliveries.following(connection, row.endpoint_id, busy, 100)
    return [one.event_id for one in found if one.wait_seconds <= 0]


def tried(one: Delivery, status: int) -> Tried:
    is_delivered, now = status == 200, datetime.now(UTC)
    reason = "" if is_delivered else "HTTP_STATUS"
    made = AttemptRow(
        new_id(),
        one.event_id,
        one.tenant_id,
        one.event_type,
        one.attempts + 1,
        now,
        5,
        is_delivered,
        status,
        reason,
        b"answer",
    )
    return Tried(one, made, Outcome(is_delivered, status, reason, None, one.attempts == 0))


async def pass_time(pool: Pool, span: timedelta) -> None:
    """Lets time pass for the queue: the database's clock stays, and everything that it is compared with moves back."""
    await pool.execute(
        "UPDATE delivery.deliveries SET due_at = due_at - $1::interval, failed_at = failed_at - $1", span
    )
    await pool.execute(
        "UPDATE delivery.endpoints SET failing_since = failing_since - $1::interval,"
        " succeeded_at = succeeded_at - $1, throttled_until = throttled_until - $1",
        span,
    )


async def recorded(pool: Pool, lease_id: str, row: EndpointRow, *done: Tried) -> EndpointRow | None:
    return await record(pool, lease_id, row.endpoint_id, done, SCHEDULE, datetime.now(UTC))


async def test_a_message_is_sent_one_event_after_the_other_and_messages_beside_each_other(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    first, second, other = delivery("a", 1), delivery("a", 2), delivery("b")

    assert [first.event_id, other.event_id] == await queued(pool, row, first, second, other)
    assert [other.event_id] == await ready(pool, row, "a")
    await recorded(pool, lease, row, tried(first, 200))
    assert [second.event_id, other.event_id] == await ready(pool, row)


async def sent(pool: Pool, lease_id: str, row: EndpointRow, first: Delivery | None = None) -> list[str]:
    """Delivers what waits, one after the other, and returns the types in the order of their arrival.

    Args:
        pool: Connections.
        lease_id: The lease.
        row: The endpoint.
        first: A delivery that is under way already.
    """
    arrived: list[str] = []
    found = [first] if first else []
    while found or (found := await following(pool, row)):
        arrived.append(found[0].event_type)
        await recorded(pool, lease_id, row, tried(found[0], 200))
        found = []
    return arrived


async def following(pool: Pool, row: EndpointRow) -> list[Delivery]:
    async with db.connection(pool) as connection:
        return await deliveries.following(connection, row.endpoint_id, [], 1)


async def test_events_that_are_read_once_more_come_in_order_with_those_that_wait(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    events = [delivery("a", number) for number in range(5)]
    # The first two were delivered long ago; the last two wait while a caller moves the position back.
    await queued(pool, row, *events[3:])
    await queued(pool, row, *events)

    assert [f"mail.{number}" for number in range(5)] == await sent(pool, lease, row)


async def test_a_waiting_event_keeps_its_schedule_when_it_is_read_once_more(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    earlier, failed, other = delivery("a", 1), delivery("a", 2), delivery("b")
    await queued(pool, row, failed)
    await recorded(pool, lease, row, tried(failed, 500))

    assert [other.event_id] == await queued(pool, row, earlier, failed, other)
    await pass_time(pool, timedelta(hours=2))
    arrived = await sent(pool, lease, row)
    assert ["mail.1", "mail.2"] == [one for one in arrived if one != other.event_type]


async def test_an_event_under_way_arrives_again_behind_the_earlier_ones_of_its_message(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    events = [delivery("a", number) for number in range(3)]
    await queued(pool, row, events[2])
    [under_way] = await following(pool, row)
    await queued(pool, row, *events)

    assert ["mail.2", "mail.0", "mail.1", "mail.2"] == await sent(pool, lease, row, under_way)


async def test_a_failing_message_holds_back_its_own_later_events_only(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    first, second, other, third = delivery("a", 1), delivery("a", 2), delivery("b"), delivery("a", 3)
    await queued(pool, row, first, second, other)
    await recorded(pool, lease, row, tried(first, 500))

    assert [other.event_id] == await queued(pool, row, third)
    # The schedule ends after two pauses: the delivery is kept, and its message goes on.
    failed = Delivery(first.event_id, TENANT, first.event_type, "a", b"{}", attempts=2)
    await recorded(pool, lease, row, tried(failed, 500))
    assert {second.event_id, other.event_id} == set(await ready(pool, row))
    assert {row.endpoint_id: (3, 1)} == await use_cases(pool).counts([row])


async def test_when_a_receiver_is_back_everything_that_waits_is_due(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    away = [delivery(str(number)) for number in range(FAILING_AFTER)]
    await queued(pool, row, *away)
    failing = await recorded(pool, lease, row, *(tried(one, 0) for one in away))
    assert failing is not None
    assert (State.FAILING, []) == (failing.state, await ready(pool, row))

    await pass_time(pool, timedelta(minutes=10))
    back = await recorded(pool, lease, row, tried(away[0], 200))
    assert back is not None
    assert (State.ACTIVE, FAILING_AFTER - 1) == (back.state, len(await ready(pool, row)))


async def test_a_process_that_lost_its_lease_writes_nothing(pool: Pool) -> None:
    lease, other = new_id(), new_id()
    row = await held(pool, lease)
    one = delivery("a")
    await queued(pool, row, one)
    await pool.execute("UPDATE delivery.endpoints SET leased_until = now() - interval '1 second'")
    async with db.connection(pool) as connection:
        assert [row.endpoint_id] == [got.endpoint_id for got in await leases.claim(connection, other, LEASE, 10)]
        assert [] == await leases.claim(connection, lease, LEASE, 10)

    assert await recorded(pool, lease, row, tried(one, 200)) is None
    assert [one.event_id] == await ready(pool, row)
    assert await recorded(pool, other, row, tried(one, 200)) is not None
    assert [] == await ready(pool, row)


async def test_a_paused_endpoint_is_claimed_by_none_and_a_resumed_one_again(pool: Pool) -> None:
    row = await held(pool, new_id())
    cases = use_cases(pool)
    await cases.pause(row.endpoint_id, ALL)
    await pool.execute("UPDATE delivery.endpoints SET leased_until = now() - interval '1 second'")
    async with db.connection(pool) as connection:
        assert [] == await leases.claim(connection, new_id(), LEASE, 10)
    resumed = await cases.resume(row.endpoint_id, ALL, "elsewhere")
    async with db.connection(pool) as connection:
        assert len(await leases.claim(connection, new_id(), LEASE, 10)) == 1
    assert (State.ACTIVE, "elsewhere") == (resumed.state, resumed.position)


async def test_endpoints_are_bounded_and_seen_by_keys_of_all_their_tenants_only(pool: Pool) -> None:
    mine, others = new_id(), new_id()
    cases = use_cases(pool, limit=2)
    made, _ = await cases.create({**VALUES, "tenant_ids": [mine]}, {}, "latest")
    everyones, _ = await cases.create(VALUES, {}, "latest")
    with pytest.raises(EndpointLimitReached):
        await cases.create(VALUES, {}, "latest")

    assert [made.endpoint_id] == [one.endpoint_id for one in await cases.page(Scope([mine, others]), None, "", 10)]
    for endpoint_id, scope in ((made.endpoint_id, Scope([others])), (everyones.endpoint_id, Scope([mine]))):
        with pytest.raises(EndpointNotFound):
            await cases.get(endpoint_id, scope)


async def test_a_deleted_endpoint_leaves_no_secret_and_in_the_end_no_row(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    one = delivery("a")
    await queued(pool, row, one, delivery("b"))
    await recorded(pool, lease, row, tried(one, 200))
    await pool.execute("UPDATE delivery.endpoints SET sealed_access = 'sealed', token_url = 'https://id.example.com'")
    await use_cases(pool).delete(row.endpoint_id, ALL)

    left = await pool.fetchrow(
        "SELECT url, token_url, sealed_keys, sealed_headers, sealed_access FROM delivery.endpoints"
    )
    assert left is not None
    assert ("", "", b"", b"", b"") == tuple(left)
    assert await recorded(pool, lease, row, tried(one, 200)) is None
    while await Retention(pool, 30, SystemClock()).round():
        pass
    for table in ("endpoints", "deliveries", "attempts"):
        assert 0 == await pool.fetchval(f"SELECT count(*) FROM delivery.{table}")  # noqa: S608 - our own tables


async def test_exhausted_deliveries_are_counted_and_recovered_and_a_delivered_one_is_sent_again(pool: Pool) -> None:
    lease, cases = new_id(), use_cases(pool)
    row = await held(pool, lease)
    one, other = delivery("a"), delivery("b")
    await queued(pool, row, one, other)
    ended = Delivery(one.event_id, TENANT, one.event_type, "a", b"{}", attempts=2)
    await recorded(pool, lease, row, tried(ended, 500), tried(other, 200))
    assert [] == await ready(pool, row)

    assert 0 == await cases.recover(row.endpoint_id, ALL, datetime.now(UTC) + DAY, is_dry=True)
    assert (1, 1) == (
        await cases.recover(row.endpoint_id, ALL, None, is_dry=True),
        await cases.recover(row.endpoint_id, ALL, None, is_dry=False),
    )
    assert [one.event_id] == await ready(pool, row)
    async with db.connection(pool) as connection:
        [made] = await attempts.page(connection, row.endpoint_id, other.event_id, None, 10)
    for _ in range(2):
        await cases.retry(row.endpoint_id, ALL, made.attempt_id)
    assert [one.event_id] == await ready(pool, row)
    await recorded(pool, lease, row, tried(one, 200))
    assert [other.event_id] == await ready(pool, row)


async def test_attempts_are_kept_and_those_past_their_time_are_deleted(pool: Pool) -> None:
    lease = new_id()
    row = await held(pool, lease)
    one = delivery("a")
    await queued(pool, row, one)
    failed = tried(one, 500)
    for _ in range(2):  # The answer to the first commit may get lost.
        assert await recorded(pool, lease, row, failed) is not None
    async with db.connection(pool) as connection:
        [kept] = await attempts.page(connection, row.endpoint_id, one.event_id, None, 10)
        assert (1, 500, b"answer") == (kept.number, kept.status, kept.answer)
        assert kept.next_attempt_at is not None
        assert 0 == await attempts.delete_old(connection, datetime.now(UTC) - DAY, 10)
        assert 1 == await attempts.delete_old(connection, datetime.now(UTC) + DAY, 10)
        assert await endpoints.get(connection, row.endpoint_id, None, ()) is not None


@pytest.mark.parametrize("before", [[TENANT, OTHER], []])
async def test_a_tenant_that_leaves_the_filter_leaves_no_delivery_and_no_attempt(pool: Pool, before: list[str]) -> None:
    lease, cases = new_id(), use_cases(pool, tenant=OTHER)
    row = await held(pool, lease, tenant_ids=before)
    mine, waiting, exhausted, sent = delivery("a"), *(delivery(key, tenant=OTHER) for key in ("b", "c", "d"))
    await queued(pool, row, mine, waiting, exhausted, sent)
    ended = replace(exhausted, attempts=2)
    await recorded(pool, lease, row, tried(mine, 500), tried(ended, 500), tried(sent, 200))

    await cases.update(row.endpoint_id, ALL, {"tenant_ids": [TENANT]}, None)
    assert {row.endpoint_id: (1, 0)} == await cases.counts([row])
    assert await recorded(pool, lease, row, tried(waiting, 200)) is not None  # Its request was under way.
    listed = await cases.attempts(row.endpoint_id, Scope([TENANT]), "", None, 10)
    assert [mine.event_id] == [one.event_id for one in listed]
    assert 0 == await cases.recover(row.endpoint_id, Scope([TENANT]), None, is_dry=False)


@pytest.mark.parametrize("status", [200, 500])
async def test_an_attempt_that_ends_behind_the_erasure_of_its_tenant_leaves_no_row(pool: Pool, status: int) -> None:
    lease = new_id()
    row = await held(pool, lease)
    erased, kept = delivery("a"), delivery("b", tenant=OTHER)
    await queued(pool, row, erased, kept)

    assert {"deliveries": 1} == await erase_rows(pool, Plan("delivery"), TENANT)
    assert await recorded(pool, lease, row, tried(erased, status), tried(kept, status)) is not None
    listed = await use_cases(pool).attempts(row.endpoint_id, ALL, "", None, 10)
    assert [kept.event_id] == [one.event_id for one in listed]


async def test_events_that_were_read_before_the_erasure_of_their_tenant_are_not_queued(pool: Pool) -> None:
    row = await held(pool, new_id())
    await erase_rows(pool, Plan("delivery"), TENANT)
    erased, kept = delivery("a"), delivery("b", tenant=OTHER)

    assert [kept.event_id] == await queued(pool, row, erased, kept)


async def test_an_eraser_waits_for_those_who_queue_events_at_this_moment(pool: Pool) -> None:
    row = await held(pool, new_id())
    async with db.transaction(pool) as connection:
        await deliveries.insert(connection, row.endpoint_id, [delivery("a")])
        erasing = asyncio.create_task(erase_rows(pool, Plan("delivery"), TENANT))
        async with asyncio.timeout(30):
            while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.02)

    assert {"deliveries": 1} == await erasing


async def test_an_event_is_not_sent_again_once_its_tenant_left_the_filter(pool: Pool) -> None:
    lease, cases = new_id(), use_cases(pool, tenant=OTHER)
    row = await held(pool, lease, tenant_ids=[TENANT])
    one = delivery("a")
    await queued(pool, row, one)
    await recorded(pool, lease, row, tried(one, 200))
    [made] = await cases.attempts(row.endpoint_id, ALL, "", None, 10)
    # The stream says that the event is another tenant's: the filter decides, however the attempt came here.
    with pytest.raises(AttemptNotFound):
        await cases.retry(row.endpoint_id, Scope([TENANT]), made.attempt_id)
    assert {} == await cases.counts([row])
