"""Retention and partitions on a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.clock import ManualClock
from services.processor.stream.errors import CursorExpired, EventNotFound
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, LATEST, EventReader
from services.processor.stream.publish import publish
from services.processor.stream.retention import Retention
from tests.store.processor.stream.conftest import mail_draft

EVERYTHING = Selection(tenants=None)
BASIC, FULL = event_pb2.EVENT_VIEW_BASIC, event_pb2.EVENT_VIEW_FULL
NO_WAIT = timedelta(0)


@pytest.fixture
def later() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def retention(pool: db.Pool, later: ManualClock) -> Retention:
    return Retention(pool, 30, later, NO_WAIT)


async def _publish(pool: db.Pool, count: int) -> list[str]:
    async with db.connection(pool) as connection, connection.transaction():
        return [event.event_id for event in await publish(connection, [mail_draft() for _ in range(count)])]


async def _partitions(pool: db.Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
        " WHERE inhparent = 'processor.events'::regclass ORDER BY relname"
    )
    return [row["relname"] for row in rows]


async def test_partitions_are_made_a_week_ahead_and_only_once(
    pool: db.Pool, retention: Retention, later: ManualClock
) -> None:
    await retention.prepare()
    first = await _partitions(pool)
    await retention.prepare()
    later.advance(timedelta(days=1))
    await retention.prepare()

    assert f"events_d{later.now() + timedelta(days=6):%Y%m%d}" in first
    assert 1 == len(await _partitions(pool)) - len(first)


async def test_processes_that_start_at_once_make_each_partition_once(pool: db.Pool, later: ManualClock) -> None:
    for _ in range(5):
        later.advance(timedelta(days=20))
        before = len(await _partitions(pool))
        await asyncio.gather(*(Retention(pool, 30, later, NO_WAIT).prepare() for _ in range(4)))

        assert 9 == len(await _partitions(pool)) - before


async def test_events_lie_in_the_partition_of_their_day(pool: db.Pool, retention: Retention) -> None:
    await retention.prepare()
    await _publish(pool, 2)

    # A position is the time of publication in microseconds, and midnight may be between the two.
    events = await pool.fetch("SELECT position, tableoid::regclass::text AS name FROM processor.events")
    days = [datetime.fromtimestamp(event["position"] // 1_000_000, UTC) for event in events]
    assert [f"events_d{day:%Y%m%d}" for day in days] == [event["name"].split(".")[-1] for event in events]


async def test_without_partitions_events_lie_in_the_rest_and_are_dropped_from_there(
    pool: db.Pool, retention: Retention, later: ManualClock
) -> None:
    await _publish(pool, 3)
    await retention.prepare()
    later.advance(timedelta(days=32))
    await retention.round()
    await retention.round()

    assert 0 == await pool.fetchval("SELECT count(*) FROM processor.events")


async def test_an_old_cursor_is_refused_with_the_oldest_that_is_served(
    pool: db.Pool, retention: Retention, later: ManualClock
) -> None:
    await retention.prepare()
    reader = EventReader(pool)
    before_all = (await reader.start(LATEST, LATEST)).write()
    (first, _) = await _publish(pool, 2)
    behind_first = (await reader.page(await reader.start("", EARLIEST), EVERYTHING, BASIC, 1)).next.write()
    at_the_end = (await reader.start(LATEST, LATEST)).write()
    later.advance(timedelta(days=32))
    await retention.round()
    (kept,) = await _publish(pool, 1)

    with pytest.raises(CursorExpired) as refused:
        await reader.start(behind_first, LATEST)
    with pytest.raises(CursorExpired):
        await reader.start(before_all, LATEST)
    with pytest.raises(EventNotFound):
        await reader.event(first, None, FULL)
    oldest = await reader.start(refused.value.metadata["oldest_cursor"], LATEST)
    assert [kept] == [event.mail.event_id for event in (await reader.page(oldest, EVERYTHING, BASIC, 9)).events]
    assert oldest == await reader.start("", EARLIEST)
    assert oldest == await reader.start(at_the_end, LATEST)


async def test_a_day_is_dropped_whole_and_only_after_it_is_no_longer_served(pool: db.Pool, later: ManualClock) -> None:
    patient = Retention(pool, 30, later, timedelta(minutes=2))
    await patient.prepare()
    await _publish(pool, 3)
    later.advance(timedelta(days=32))

    await patient.round()
    assert 3 == await pool.fetchval("SELECT count(*) FROM processor.events")
    await pool.execute("UPDATE processor.stream SET floor_raised_at = now() - interval '3 minutes'")
    await patient.round()
    assert 0 == await pool.fetchval("SELECT count(*) FROM processor.events")


async def test_keys_of_creations_outlive_their_events_and_keys_of_updates_do_not(
    pool: db.Pool, retention: Retention, later: ManualClock
) -> None:
    drafts = [mail_draft("a"), mail_draft("a", event_type="mail.updated", version="2")]
    async with db.connection(pool) as connection, connection.transaction():
        await publish(connection, drafts)
    later.advance(timedelta(days=62))
    await retention.round()

    async with db.connection(pool) as connection, connection.transaction():
        assert [False, True] == [event.is_new for event in await publish(connection, drafts)]


async def test_an_event_of_yesterday_keeps_its_day(pool: db.Pool, retention: Retention, later: ManualClock) -> None:
    await retention.prepare()
    await _publish(pool, 1)
    later.advance(timedelta(days=29))
    await retention.round()

    assert 1 == await pool.fetchval("SELECT count(*) FROM processor.events")
