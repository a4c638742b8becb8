"""The newest events in memory return the same events as the database, or none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.loops import IDLE_ROUNDS, PeriodicLoop
from services.meshkit.process import background
from services.processor.stream.cursor import Cursor
from services.processor.stream.epoch import begin_epoch
from services.processor.stream.errors import CursorEpochChanged
from services.processor.stream.filter import Selection
from services.processor.stream.head import HeadWatch
from services.processor.stream.pages import EARLIEST, LATEST, EventReader, Page
from services.processor.stream.publish import publish
from services.processor.stream.tail import Tail, TailLimits
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft, tenant_draft

EVERYTHING = Selection(tenants=None)
BASIC, FULL = event_pb2.EVENT_VIEW_BASIC, event_pb2.EVENT_VIEW_FULL

SELECTIONS = [
    EVERYTHING,
    Selection(frozenset({TENANT})),
    Selection(frozenset()),
    Selection(None, providers=["googlews"]),
    Selection(None, event_types=["tenant.*"], kinds=("tenant",)),
    Selection(None, event_types=["mail.updated", "tenant.disabled"]),
]


@pytest.fixture
def reader(pool: db.Pool) -> EventReader:
    return EventReader(pool)


@asynccontextmanager
async def following(pool: db.Pool, limits: TailLimits | None = None) -> AsyncIterator[Tail]:
    head = HeadWatch(pool, look_seconds=0.2)
    tail = Tail(EventReader(pool), head, limits)
    tasks = [asyncio.create_task(head.run()), asyncio.create_task(tail.run())]
    try:
        await until(lambda: tail._end is not None)
        yield tail
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.005)


async def put(pool: db.Pool, *drafts: Any) -> None:
    async with db.connection(pool) as connection, connection.transaction():
        await publish(connection, drafts)


async def caught_up(tail: Tail, reader: EventReader) -> Cursor:
    newest = await reader.start(LATEST, LATEST)
    await until(lambda: tail._end == newest)
    return newest


async def test_a_new_event_ends_the_long_waits_of_an_idle_loop(pool: db.Pool) -> None:
    rounds = 0

    async def work() -> int:
        nonlocal rounds
        rounds += 1
        return 0

    head = HeadWatch(pool, look_seconds=3600)
    loop = PeriodicLoop("follows", 0.001, work, idle_factor=3_600_000)
    head.call(loop.rouse)
    async with background(head.run(), loop.run()):
        await until(lambda: rounds == IDLE_ROUNDS)
        await put(pool, mail_draft())
        await until(lambda: rounds > IDLE_ROUNDS)


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_memory_and_database_give_the_same_pages(
    pool: db.Pool, reader: EventReader, selection: Selection
) -> None:
    async with following(pool) as tail:
        start = await reader.start(LATEST, LATEST)
        await put(pool, mail_draft(), tenant_draft("1"), mail_draft(tenant_id=OTHER_TENANT))
        await put(pool, mail_draft(provider="googlews"), mail_draft(event_type="mail.updated"))
        await caught_up(tail, reader)
        expected = await every_event(start, selection, reader)
        for count in (1, 2, 10):
            assert expected == events_in_memory(tail, start, selection, count)


async def every_event(cursor: Cursor, selection: Selection, reader: EventReader) -> list[event_pb2.Event]:
    found: list[event_pb2.Event] = []
    while True:
        page = await reader.page(cursor, selection, BASIC, 10)
        found += page.events
        if not page.has_more:
            return found
        cursor = page.next


def events_in_memory(tail: Tail, cursor: Cursor, selection: Selection, count: int) -> list[event_pb2.Event]:
    found: list[event_pb2.Event] = []
    while True:
        page = tail.page(cursor, selection, BASIC, count)
        assert page is not None
        assert len(page.events) <= count
        found += page.events
        if not page.has_more:
            return found
        cursor = page.next


async def test_a_reader_too_far_behind_is_sent_to_the_database(pool: db.Pool, reader: EventReader) -> None:
    async with following(pool, TailLimits(events=3)) as tail:
        before_all = await reader.start("", EARLIEST)
        await put(pool, *(mail_draft() for _ in range(5)))
        newest = await caught_up(tail, reader)
        rest = await reader.page(before_all, EVERYTHING, BASIC, 2)

        assert tail.page(before_all, EVERYTHING, BASIC, 10) is None
        assert len((tail.page(rest.next, EVERYTHING, BASIC, 10) or rest).events) == 3
        assert (tail.page(newest, EVERYTHING, BASIC, 10) or rest).events == []


async def test_a_reader_after_an_unknown_event_is_sent_to_the_database(pool: db.Pool, reader: EventReader) -> None:
    async with following(pool) as tail:
        start = await reader.start(LATEST, LATEST)
        await put(pool, *(mail_draft() for _ in range(3)))
        newest = await caught_up(tail, reader)
        second = (await reader.page(start, EVERYTHING, BASIC, 2)).next
        elsewhere = [replace(second, tag=b"others"), replace(second, position=second.position - 1)]
        further = replace(newest, position=newest.position + 1)

        assert [1] == [len(page.events) for page in [tail.page(second, EVERYTHING, BASIC, 10)] if page]
        assert [None, None] == [tail.page(cursor, EVERYTHING, BASIC, 10) for cursor in elsewhere]
        assert tail.page(replace(newest, tag=b"others"), EVERYTHING, BASIC, 10) is None
        assert Page([], further, has_more=False) == tail.page(further, EVERYTHING, BASIC, 10)


async def test_memory_is_bounded_by_bytes(pool: db.Pool, reader: EventReader) -> None:
    async with following(pool, TailLimits(size_bytes=2000)) as tail:
        await put(pool, *(mail_draft() for _ in range(30)))
        await caught_up(tail, reader)

        assert 0 < len(tail._entries) < 30
        assert tail._bytes <= 2000


async def test_whole_events_take_the_database_and_nothing_new_does_not(pool: db.Pool, reader: EventReader) -> None:
    async with following(pool) as tail:
        start = await reader.start(LATEST, LATEST)
        await put(pool, mail_draft())
        await caught_up(tail, reader)

        assert tail.page(start, EVERYTHING, FULL, 10) is None
        assert tail.page(start, Selection(frozenset({OTHER_TENANT})), FULL, 10) is not None


async def test_after_a_new_epoch_memory_is_cleared_and_readers_are_informed(pool: db.Pool, reader: EventReader) -> None:
    async with following(pool) as tail:
        await put(pool, mail_draft())
        cursor, life = await caught_up(tail, reader), tail.life
        await begin_epoch(pool)
        await put(pool, mail_draft())
        await until(lambda: tail.life > life)

        with pytest.raises(CursorEpochChanged):
            await reader.page(cursor, EVERYTHING, BASIC, 10)


async def test_a_reader_ahead_of_memory_waits_for_it(pool: db.Pool, reader: EventReader) -> None:
    async with following(pool) as tail:
        await put(pool, mail_draft())
        newest = await caught_up(tail, reader)
        ahead = Cursor(newest.epoch, newest.position + 1, newest.tag)
        page = tail.page(ahead, EVERYTHING, BASIC, 10)

        assert page is not None
        assert ([], ahead, False) == (page.events, page.next, page.has_more)
