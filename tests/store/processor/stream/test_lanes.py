"""Publishers take lanes of the stream, do not wait for each other, and readers miss none of their events."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.migrate import migrations
from services.processor.stream.cursor import read_cursor
from services.processor.stream.filter import Selection
from services.processor.stream.head import HeadWatch
from services.processor.stream.pages import EARLIEST, LATEST, EventReader
from services.processor.stream.publish import publish
from services.processor.stream.store import event_log
from services.processor.stream.tail import Tail
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.planting import insert
from tests.store.processor.stream.conftest import TENANT, mail_draft

EVERYTHING = Selection(tenants=None)
BASIC = event_pb2.EVENT_VIEW_BASIC
LANES = 16
OLD = "01a21da1-adab-7201-8460-2530c4b40d19"
NEVER_SECONDS = 3600.0
CHAIN = 5


@asynccontextmanager
async def publisher(pool: db.Pool) -> AsyncIterator[tuple[str, Any]]:
    """Publish an event; yield its id, and the transaction, which a test may end while the block runs."""
    async with db.connection(pool) as connection:
        transaction = connection.transaction()
        await transaction.start()
        (event,) = await publish(connection, [mail_draft()])
        yield event.event_id, transaction


async def put(pool: db.Pool) -> str:
    async with publisher(pool) as (event_id, transaction):
        await transaction.commit()
    return event_id


async def positions(pool: db.Pool) -> list[tuple[int, str]]:
    rows = await pool.fetch("SELECT position, event_id::text FROM processor.events ORDER BY position")
    return [(row["position"], row["event_id"]) for row in rows]


def ids(events: Sequence[event_pb2.Event]) -> list[str]:
    return [event.mail.event_id for event in events]


@pytest.fixture
def reader(pool: db.Pool) -> EventReader:
    return EventReader(pool)


async def test_more_publishers_than_lanes_get_different_positions(pool: db.Pool) -> None:
    published = await asyncio.gather(*(put(pool) for _ in range(3 * LANES)))

    found = await positions(pool)
    assert sorted(published) == sorted(event_id for _, event_id in found)
    assert len(found) == len({position for position, _ in found})


async def test_an_event_that_commits_first_waits_for_an_earlier_position(pool: db.Pool, reader: EventReader) -> None:
    start = await reader.start("", EARLIEST)
    async with publisher(pool) as (first, transaction):
        second = await put(pool)
        waiting = await reader.page(start, EVERYTHING, BASIC, 10)
        latest = await reader.start(LATEST, LATEST)
        await transaction.commit()
    both = await reader.page(start, EVERYTHING, BASIC, 10)

    assert ([], start, False) == (waiting.events, waiting.next, waiting.has_more)
    assert (False, True) == (waiting.is_settled, both.is_settled)
    assert start == latest, "a reader that begins at the end gets the event that came before the end and commits later"
    assert [first, second] == ids(both.events)
    assert [second] == ids((await reader.page(read_cursor(both.events[0].position), EVERYTHING, BASIC, 10)).events)


async def test_a_reader_that_begins_at_the_end_gets_no_old_event_though_a_lane_was_never_used(
    pool: db.Pool, reader: EventReader
) -> None:
    long_ago = await pool.fetchval("SELECT (extract(epoch FROM now()) * 1000000)::bigint - 60 * 1000000")
    for number in range(5):
        await insert(pool, "processor.events", event_id=new_id(), tenant_id=TENANT, position=long_ago + number)
    await pool.execute("UPDATE processor.stream SET head = $1, head_event_id = $2 WHERE id = 1", long_ago + 5, OLD)
    await insert(pool, "processor.events", event_id=OLD, tenant_id=TENANT, position=long_ago + 5)
    async with publisher(pool) as (first, soon), publisher(pool) as (second, late):
        await soon.commit()
        latest = await reader.start(LATEST, LATEST)
        await late.commit()

    assert long_ago + 5 == latest.position
    assert [first, second] == ids((await reader.page(latest, EVERYTHING, BASIC, 100)).events)


async def test_the_cursor_of_a_single_event_is_before_a_publisher_under_way(pool: db.Pool, reader: EventReader) -> None:
    async with publisher(pool) as (first, transaction):
        second = await put(pool)
        cursor = (await reader.event(second, None, BASIC)).mail.position
        await transaction.commit()
    page = await reader.page(await reader.start(cursor, LATEST), EVERYTHING, BASIC, 10)

    assert [first, second] == ids(page.events)


async def test_a_publisher_under_way_takes_no_connection_of_readers(pool: db.Pool, reader: EventReader) -> None:
    await put(pool)
    cursor = (await reader.start(LATEST, LATEST)).write()
    async with publisher(pool) as (_, transaction):
        reading = [asyncio.create_task(reader.start(one, LATEST)) for one in [cursor] * 300 + [LATEST] * 60]
        await asyncio.gather(*(put(pool) for _ in range(4)), *reading)
        await transaction.commit()

    assert {cursor} == {task.result().write() for task in reading[:300]}


async def test_a_page_waits_for_the_publishers_that_it_finds(pool: db.Pool, reader: EventReader) -> None:
    start = await reader.start("", EARLIEST)
    async with publisher(pool) as (first, transaction):
        second = await put(pool)
        reading = asyncio.create_task(reader.page(start, EVERYTHING, BASIC, 10))
        await asyncio.sleep(0.02)
        await transaction.commit()
        page = await reading

    assert [first, second] == ids(page.events)


async def test_a_reader_beyond_a_publisher_under_way_does_not_go_back(pool: db.Pool, reader: EventReader) -> None:
    await put(pool)
    await put(pool)
    end = await reader.start(LATEST, LATEST)
    # The lane of this publisher has an older head than the reader's cursor.
    async with publisher(pool) as (late, transaction):
        page = await reader.page(end, EVERYTHING, BASIC, 10)
        await transaction.commit()
    after = await reader.page(page.next, EVERYTHING, BASIC, 10)

    assert ([], end) == (page.events, page.next)
    assert [late] == ids(after.events)


async def test_a_publisher_goes_on_behind_every_lane_whatever_the_clock_says(pool: db.Pool) -> None:
    ahead = await pool.fetchval(
        "UPDATE processor.stream SET head = (extract(epoch FROM now()) * 1000000)::bigint + 3600 * 1000000::bigint"
        " WHERE id = 7 RETURNING head"
    )
    await asyncio.gather(*(put(pool) for _ in range(LANES)))

    assert all(position > ahead for position, _ in await positions(pool))


async def test_a_publisher_that_rolls_back_holds_nobody(pool: db.Pool, reader: EventReader) -> None:
    start = await reader.start("", EARLIEST)
    async with publisher(pool) as (_, transaction):
        second = await put(pool)
        await transaction.rollback()
    page = await reader.page(start, EVERYTHING, BASIC, 10)

    assert ([second], False) == (ids(page.events), page.has_more)


async def test_events_are_not_published_within_a_savepoint(pool: db.Pool) -> None:
    """A snapshot does not list savepoints, so a reader would not see that the publisher is under way."""
    async with db.connection(pool) as connection, connection.transaction():
        with pytest.raises(asyncpg.RaiseError, match="savepoint"):
            async with connection.transaction():
                await publish(connection, [mail_draft()])


@asynccontextmanager
async def following(pool: db.Pool) -> AsyncIterator[list[str]]:
    """Follow the stream by notifications alone; yield the list that grows by the ids of its events."""
    await put(pool)
    reader = EventReader(pool)
    head = HeadWatch(pool, look_seconds=NEVER_SECONDS)
    tail = Tail(reader, head)
    seen: list[str] = []

    async def read() -> None:
        cursor = await reader.start(LATEST, LATEST)
        while True:
            page = tail.page(cursor, EVERYTHING, BASIC, 10)
            page = page or await reader.page(cursor, EVERYTHING, BASIC, 10)
            cursor = page.next
            seen.extend(ids(page.events))
            if not page.has_more:
                await tail.beyond(cursor.position, NEVER_SECONDS)

    tasks = [asyncio.create_task(each) for each in (head.run(), tail.run(), read())]
    try:
        async with asyncio.timeout(40):
            while not (tail._end and head.head):  # the head is read once the listener is there
                await asyncio.sleep(0.01)
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(seen: list[str], count: int) -> None:
    async with asyncio.timeout(20):
        while len(seen) < count:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("is_first_committed_first", [True, False])
async def test_publishers_at_the_same_time_wake_a_reader(pool: db.Pool, is_first_committed_first: bool) -> None:
    """Only the first of them notifies, at its commit."""
    async with following(pool) as seen:
        async with publisher(pool) as first, publisher(pool) as second:
            await (first if is_first_committed_first else second)[1].commit()
            await asyncio.sleep(0.5)
            await (second if is_first_committed_first else first)[1].commit()
        await until(seen, 2)

    assert [first[0], second[0]] == seen


async def test_of_publishers_that_begin_together_one_notifies(pool: db.Pool) -> None:
    heard: list[object] = []

    def hear(*notification: object) -> None:
        heard.append(notification)

    async with db.connection(pool) as listener:
        await listener.add_listener(event_log.CHANNEL, hear)
        for _ in range(60):
            before = len(heard)
            await asyncio.gather(put(pool), put(pool))
            async with asyncio.timeout(20):
                while len(heard) == before:
                    await listener.execute("SELECT 1")
        await listener.remove_listener(event_log.CHANNEL, hear)


async def test_a_tail_moves_behind_events_that_this_release_cannot_read(pool: db.Pool) -> None:
    async with following(pool) as seen:
        async with db.connection(pool) as connection, connection.transaction():
            many = await publish(connection, [mail_draft() for _ in range(300)])
            statement = "UPDATE processor.events SET kind = 99 WHERE event_id = ANY ($1::uuid[])"
            await connection.execute(statement, [one.event_id for one in many])
        last = await put(pool)
        await until(seen, 1)

    assert [last] == seen


async def test_a_chain_of_publishers_wakes_a_reader(pool: db.Pool) -> None:
    """Each of them begins while the one before is under way, so that only the first notifies."""
    async with following(pool) as seen:
        published: list[str] = []
        async with AsyncExitStack() as stack:
            before = None
            for _ in range(CHAIN):
                event_id, transaction = await stack.enter_async_context(publisher(pool))
                published.append(event_id)
                if before is not None:
                    await before.commit()
                before = transaction
            assert before is not None
            await before.commit()
        await until(seen, CHAIN)

    assert published == seen


async def test_lanes_are_added_to_a_stream_with_events_and_readers(postgres: PostgresProgram) -> None:
    """An upgraded stream has one lane until no publisher of the release before is left."""
    made = postgres.empty_database("processor")
    history = migrations(Secret(made.url))
    await history.upgrade("0026")
    async with open_pool(Secret(made.url), "test", DatabaseLimits(connections=4)) as pool:
        await insert(pool, "processor.events", event_id=OLD, tenant_id=TENANT, position=1_795_000_000_000_001)
        await pool.execute("UPDATE processor.stream SET head = 1795000000000001, head_event_id = $1", OLD)
        await history.upgrade()
        before = await pool.fetchval("SELECT count(*) FROM processor.stream")
        reader = EventReader(pool)
        cursor = await reader.start(LATEST, LATEST)
        published = [await put(pool)]
        await asyncio.to_thread(_run_add_lanes, made)
        async with db.connection(pool) as connection:
            await event_log.add_lanes(connection)
        published += [await put(pool) for _ in range(3)]
        async with publisher(pool) as first, publisher(pool) as second:
            await second[1].commit()
            await first[1].commit()
        page = await reader.page(cursor, EVERYTHING, BASIC, 10)
        newest = max(position for position, _ in await positions(pool))
        await history.downgrade("0026")
        after = await pool.fetch("SELECT head FROM processor.stream")
    postgres.drop(made)

    assert (1, [newest]) == (before, [row["head"] for row in after])
    assert [*published, first[0], second[0]] == ids(page.events)


def _run_add_lanes(database: TestDatabase) -> None:
    command = (sys.executable, "-m", "services.processor", "add-lanes")
    environment = {**os.environ, "MAILMESH_DATABASE_URL": database.url}
    subprocess.run(command, env=environment, check=True, timeout=120)
