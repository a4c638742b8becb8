"""The queue of an endpoint on a real PostgreSQL: order per message, leases, limits, deletion."""

from datetime import UTC, datetime, timedelta

import pytest

from services.delivery.endpoints.use_cases import Scope
from services.delivery.errors import EndpointLimitReached, EndpointNotFound
from services.delivery.sending.retention import Retention
from services.delivery.sending.schedule import FAILING_AFTER
from services.delivery.store import attempts, deliveries, endpoints, leases
from services.delivery.store.rows import Delivery, EndpointRow, State
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from tests.store.delivery.queues import (
    ALL,
    DAY,
    LEASE,
    TENANT,
    VALUES,
    Pool,
    delivery,
    held,
    pass_time,
    pool,
    queued,
    ready,
    recorded,
    tried,
    use_cases,
)

__all__ = ["pool"]


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
