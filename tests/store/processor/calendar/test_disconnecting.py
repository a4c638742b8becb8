"""A disconnected tenant leaves no calendar and no event behind, whatever a worker commits at the same time."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mailmesh.calendar.v1 import calendar_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.processor.calendar.clearing import CalendarClearing
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.rows import CalendarRow, State, StoredEvent
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

    assert [] == await work._store_list(held, LISTED, frozenset())
    assert 0 == await pool.fetchval("SELECT count(*) FROM processor.calendars")


async def test_many_events_leave_sight_at_once_and_are_deleted_in_parts(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "AT_ONCE", 3)
    monkeypatch.setattr(tenants, "_EVENTS_AT_ONCE", 3)
    tenant_id = new_id()
    row = await listed(pool, tenant_id)
    await pool.execute(
        "INSERT INTO processor.tenants (tenant_id, provider, external_tenant_id, user_id, status, change_number,"
        " changed_at) VALUES ($1, 'ms365', 'o', 'u', 'disconnected', 1, now())",
        tenant_id,
    )
    facts = CalendarOfEvents(row.calendar_id)
    stored = [StoredEvent(map_event(graph_event(id=f"AAMkAD-{n}="), facts), 1) for n in range(10)]
    async with db.transaction(pool) as connection:
        await calendars.change(connection, row.calendar_id, row.follows, {"state": State.FOLLOWED})
        await events.save(connection, row.calendar_id, stored, 1, SystemClock().now())
        shown = await events.by_id(connection, stored[0].event.calendar_event_id, None)
    await forget(pool, tenant_id)
    async with db.connection(pool) as connection:
        hidden = await events.by_id(connection, stored[0].event.calendar_event_id, None)
    left = await pool.fetchval("SELECT count(*) FROM processor.calendar_events")
    parts = await CalendarClearing(pool).round()

    assert (shown is None, hidden is None) == (False, True)
    assert (10, 4) == (left, parts)
    assert 0 == await pool.fetchval("SELECT count(*) FROM processor.calendar_events")
    assert 0 == await pool.fetchval("SELECT count(*) FROM processor.calendars")
    assert 0 == await CalendarClearing(pool).round()
