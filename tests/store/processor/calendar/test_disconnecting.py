"""A disconnected tenant leaves no calendar and no event behind, whatever a worker commits at the same time."""

import asyncio
from types import SimpleNamespace
from typing import Any

from mailmesh.calendar.v1 import calendar_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.rows import CalendarRow, StoredEvent
from services.processor.calendar.store import calendars, events
from services.processor.calendar.work import CalendarWork
from services.processor.mailbox.transaction import Transactions
from services.processor.stream.store import tenants
from tests.unit.processor.calendar.graph_json import CALENDAR, graph_event

LISTED = [pb2.Calendar(provider_calendar_id="one", provider="ms365", name="Calendar")]


async def listed(pool: db.Pool, tenant_id: str) -> CalendarRow:
    async with db.transaction(pool) as connection:
        await calendars.save_list(connection, tenant_id, LISTED)
        (row,) = await calendars.page(connection, tenant_id, None, 10)
    return row


async def forget(pool: db.Pool, tenant_id: str) -> None:
    async with db.transaction(pool) as connection:
        await tenants.forget_mailbox(connection, tenant_id)


async def test_events_that_a_worker_commits_during_the_disconnect_are_deleted(pool: db.Pool) -> None:
    tenant_id = new_id()
    row = await listed(pool, tenant_id)
    stored = StoredEvent(map_event(graph_event(), CALENDAR), 1)
    async with db.transaction(pool) as worker:
        assert await calendars.change(worker, row.calendar_id, row.follows, {"round": 1})
        await events.save(worker, row.calendar_id, [stored], 1, SystemClock().now())
        disconnecting = asyncio.create_task(forget(pool, tenant_id))
        while not await pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            assert not disconnecting.done()
            await asyncio.sleep(0.01)
    await disconnecting

    assert 0 == await pool.fetchval("SELECT count(*) FROM processor.calendar_events")
    assert 0 == await pool.fetchval("SELECT count(*) FROM processor.calendars")


async def test_a_list_that_was_read_before_the_disconnect_is_not_stored_after_it(pool: db.Pool) -> None:
    tenant_id = new_id()
    await pool.execute(
        "INSERT INTO processor.tenants (tenant_id, provider, external_tenant_id, user_id, status, change_number,"
        " changed_at) VALUES ($1, 'ms365', 'o', 'u', 'disconnected', 1, now())",
        tenant_id,
    )
    unused: Any = None
    settings: Any = SimpleNamespace(calendar_list_seconds=60)
    work = CalendarWork(unused, unused, Transactions(pool), settings, SystemClock())
    await pool.execute("INSERT INTO processor.mailboxes (tenant_id, fence) VALUES ($1, 1)", tenant_id)
    held: Any = SimpleNamespace(lease=SimpleNamespace(tenant_id=tenant_id, fence=1))

    assert [] == await work._store_list(held, LISTED)
    assert 0 == await pool.fetchval("SELECT count(*) FROM processor.calendars")
