"""Tenants that leave an endpoint or are erased leave no delivery and no attempt in its queue."""

import asyncio
from dataclasses import replace

import pytest

from services.delivery.endpoints.use_cases import Scope
from services.delivery.errors import AttemptNotFound
from services.delivery.store import deliveries
from services.meshkit import db
from services.meshkit.erasing import Plan, erase_rows
from services.meshkit.ids import new_id
from tests.store.delivery.queues import (
    ALL,
    OTHER,
    TENANT,
    Pool,
    delivery,
    held,
    pool,
    queued,
    recorded,
    tried,
    use_cases,
)

__all__ = ["pool"]


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
