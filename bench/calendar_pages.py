"""The time of a page of a large calendar."""

import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bench import measure
from bench.event_store import event_store
from bench.measure import Figure, Options, percentile
from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from mailmesh.calendar.v1 import calendar_pb2
from services.meshkit import db
from services.meshkit.ids import new_id
from services.meshkit.process import spare_searches
from services.meshkit.secret import Secret
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.reading import CalendarReader, Place, Window
from services.processor.calendar.rows import CalendarRow, State, StoredEvent
from services.processor.calendar.store import calendars, events

QUESTION = "How long does a page of a year's window of a calendar with 50,000 events take?"
METHOD = """One calendar has 49,800 single events over ten years and 200 weekly and daily series without an end. A page
has 50 events. The places in the window are random, so that pages at its beginning, in its middle and at its end count
alike. The time is that of the reader: the statements, the expansion and the making of the events, without gRPC; the
garbage collector is set as in every process of the mesh. A page without instances has three statements, one with them
has five; a statement that reads nothing shows how long a program waits where others use the processors as well."""

SINGLES, SERIES = 49_800, 200
QUICK_SINGLES, QUICK_SERIES = 300, 10
PAGES, QUICK_PAGES = 400, 10
BEGIN = datetime(2022, 1, 3, 14, tzinfo=UTC)
YEAR = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
_AT_ONCE = 2000


async def program(options: Options) -> Sequence[Figure]:
    """Measure pages with and without instances."""
    singles, series = (QUICK_SINGLES, QUICK_SERIES) if options.is_quick else (SINGLES, SERIES)
    pages = QUICK_PAGES if options.is_quick else PAGES
    async with (
        event_store(is_careless=True) as url,
        db.open_pool(Secret(url), "bench", db.DatabaseLimits(connections=4)) as pool,
    ):
        row = await _calendar(pool)
        await _fill(pool, row.calendar_id, singles, series)
        spare_searches()
        plain = await _pages(pool, row.calendar_id, pages, is_expanded=False)
        expanded = await _pages(pool, row.calendar_id, pages, is_expanded=True)
        nothing = await _nothing(pool, pages)
    return [
        Figure("events", singles + series, "events"),
        *_figures("a page without instances", plain),
        *_figures("a page with instances", expanded),
        Figure("a statement that reads nothing, p50", 1000 * percentile(nothing, 50), "ms"),
        Figure("a statement that reads nothing, p99", 1000 * percentile(nothing, 99), "ms"),
    ]


def _figures(name: str, measured: Sequence[tuple[float, float]]) -> list[Figure]:
    seconds, spent = zip(*measured, strict=True)
    return [
        Figure(f"{name}, p50", 1000 * percentile(seconds, 50), "ms"),
        Figure(f"{name}, p99", 1000 * percentile(seconds, 99), "ms", "<= 50"),
        Figure(f"{name}, processor time of the reader, p99", 1000 * percentile(spent, 99), "ms"),
    ]


async def _calendar(pool: db.Pool) -> CalendarRow:
    tenant_id = new_id()
    listed = [calendar_pb2.Calendar(provider_calendar_id="one", provider="ms365", name="Calendar")]
    async with db.transaction(pool) as connection:
        await calendars.save_list(connection, tenant_id, listed)
        (row,) = await calendars.page(connection, tenant_id, None, 10)
        changed = await calendars.change(connection, row.calendar_id, row.follows, {"state": State.FOLLOWED})
    return changed or row


async def _fill(pool: db.Pool, calendar_id: str, singles: int, series: int) -> None:
    draw = random.Random(1)
    facts = CalendarOfEvents(calendar_id)
    made = [_event(f"s{n}", BEGIN + timedelta(hours=draw.randrange(24 * 3650)), facts) for n in range(singles)]
    made += [_event(f"r{n}", BEGIN + timedelta(hours=n), facts, "daily" if n % 4 else "weekly") for n in range(series)]
    for begin in range(0, len(made), _AT_ONCE):
        stored = [StoredEvent(one, 1) for one in made[begin : begin + _AT_ONCE]]
        async with db.transaction(pool) as connection:
            await events.save(connection, calendar_id, stored, 1, BEGIN)
    async with db.connection(pool) as connection:
        await connection.execute("ANALYZE processor.calendar_events")


def _event(name: str, begins: datetime, facts: CalendarOfEvents, rule: str = "") -> pb2.CalendarEvent:
    pattern = {"type": rule, "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"}
    span = {"type": "noEnd", "startDate": f"{begins:%Y-%m-%d}", "recurrenceTimeZone": "Eastern Standard Time"}
    people = [{"type": "required", "emailAddress": {"address": f"p{n}@contoso.test", "name": "P"}} for n in range(8)]
    times = {
        key: {"dateTime": f"{moment:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"}
        for key, moment in (("start", begins), ("end", begins + timedelta(hours=1)))
    }
    found = {
        "id": name, "type": "seriesMaster" if rule else "singleInstance", "subject": "Review of the quarter",
        "body": {"contentType": "text", "content": "Bring numbers. " * 40}, "attendees": people, **times,
        "originalStartTimeZone": "Eastern Standard Time", "originalEndTimeZone": "Eastern Standard Time",
        "recurrence": {"pattern": pattern, "range": span} if rule else None,
    }  # fmt: skip
    return map_event(found, facts)


async def _pages(pool: db.Pool, calendar_id: str, count: int, *, is_expanded: bool) -> list[tuple[float, float]]:
    """Return the seconds of each page, and those of the reader's processor."""
    draw, reader, found = random.Random(2), CalendarReader(pool), []
    for _ in range(count):
        after = Place(YEAR.begin + timedelta(hours=draw.randrange(365 * 24)), str(UUID(int=0)))
        began, spent = time.monotonic(), time.process_time()
        page = await reader.page(calendar_id, None, YEAR, after, 50, is_expanded=is_expanded)
        found.append((time.monotonic() - began, time.process_time() - spent))
        assert page.events or page.next is None
    return found


async def _nothing(pool: db.Pool, count: int) -> list[float]:
    """Return the seconds of statements without work: how long a program waits for this machine."""
    found = []
    for _ in range(count):
        began = time.monotonic()
        await pool.fetchval("SELECT 1")
        found.append(time.monotonic() - began)
    return found


if __name__ == "__main__":
    measure.main("calendar_pages", QUESTION, METHOD, program)
