"""A page of large events is bounded by its size, and the pages together have every event once."""

from datetime import UTC, datetime, timedelta

from mailmesh.calendar.v1 import calendar_event_pb2
from services.meshkit import db
from services.meshkit.ids import new_id
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.reading import PAGE_BYTES, CalendarReader, Place, Window
from services.processor.calendar.rows import State, StoredEvent
from services.processor.calendar.store import calendars, events
from tests.store.processor.calendar.test_disconnecting import listed
from tests.unit.processor.calendar.graph_json import graph_event, weekly

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC))
PLAIN = 30


async def test_large_events_fill_pages_by_size(pool: db.Pool) -> None:
    row = await listed(pool, new_id())
    facts = CalendarOfEvents(row.calendar_id)
    body = {"contentType": "text", "content": "x" * 199_000}
    found = [map_event(graph_event(id=f"AAMkAD-{n}=", body=body), facts) for n in range(PLAIN)]
    stored = [StoredEvent(one, 1) for one in (*found, map_event(weekly(body=body), facts))]
    async with db.transaction(pool) as connection:
        await calendars.change(connection, row.calendar_id, row.follows, {"state": State.FOLLOWED})
        await events.save(connection, row.calendar_id, stored, 1, datetime.now(UTC))
        cut = await events.page(
            connection, row.calendar_id, (WINDOW.begin, WINDOW.end),
            (WINDOW.begin - timedelta(days=1), new_id()), 1000, PAGE_BYTES, with_series=False,
        )  # fmt: skip
    reader, after, ids = CalendarReader(pool), Place(), []
    while after is not None:
        page = await reader.page(row.calendar_id, None, WINDOW, after, 1000, is_expanded=True)
        assert sum(one.ByteSize() for one in page.events) <= PAGE_BYTES
        assert {199_000} == {len(one.body_text) for one in page.events}
        ids += [one.calendar_event_id for one in page.events]
        after = page.next

    assert sum(one.ByteSize() for one in cut) < PAGE_BYTES + 250_000
    assert PLAIN + 22 == len(ids) == len(set(ids))


async def test_a_calendar_with_thousands_of_series_is_read_whole(pool: db.Pool) -> None:
    row = await listed(pool, new_id())
    facts = CalendarOfEvents(row.calendar_id)
    one = map_event(weekly(), facts)
    stored = []
    for _ in range(5200):
        copy = calendar_event_pb2.CalendarEvent()
        copy.CopyFrom(one)
        copy.calendar_event_id = new_id()
        stored.append(StoredEvent(copy, 1))
    async with db.transaction(pool) as connection:
        await calendars.change(connection, row.calendar_id, row.follows, {"state": State.FOLLOWED})
        await events.save(connection, row.calendar_id, stored, 1, datetime.now(UTC))
    reader, after, seen = CalendarReader(pool), Place(), set[str]()
    week = Window(datetime(2026, 3, 15, tzinfo=UTC), datetime(2026, 3, 22, tzinfo=UTC))
    while after is not None:
        page = await reader.page(row.calendar_id, None, week, after, 1000, is_expanded=True)
        seen |= {one.series_master_id for one in page.events}
        after = page.next
    assert 5200 == len(seen)
