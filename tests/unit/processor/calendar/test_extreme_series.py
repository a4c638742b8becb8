"""No series, however far its dates lie, hides the other events of its calendar."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.processor.calendar.mapping.graph_event import UnreadableEventError, map_event
from services.processor.calendar.reading import PAGE_BYTES, Place, Window, _instances, _page
from services.processor.calendar.rows import StoredEvent
from services.processor.calendar.store.events import _end_of_series
from tests.unit.processor.calendar.graph_json import CALENDAR, graph_event, weekly

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


def series(begins: str, ends: str, span: dict[str, Any], kind: str = "weekly") -> StoredEvent:
    pattern = {"type": kind, "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"}
    zone = {"recurrenceTimeZone": "Eastern Standard Time"}
    event = graph_event(
        type="seriesMaster",
        id="AAMkAD-extreme=",
        recurrence={"pattern": pattern, "range": {**span, **zone}},
        start={"dateTime": begins, "timeZone": "UTC"},
        end={"dateTime": ends, "timeZone": "UTC"},
    )
    return StoredEvent(map_event(event, CALENDAR), 1)


def listed(*stored: StoredEvent) -> int:
    plain = StoredEvent(map_event(weekly(), CALENDAR), 1)
    found = _instances([*stored, plain], WINDOW, Place(), 1000)
    return sum(one.series_master_id == plain.event.calendar_event_id for one in found)


def test_a_series_until_the_last_day_of_time_is_expanded() -> None:
    endless = series(
        "2026-03-02T14:00:00", "2026-03-02T15:00:00",
        {"type": "endDate", "startDate": "2026-03-02", "endDate": "9999-12-31"},
    )  # fmt: skip
    assert 5 == listed(endless)
    assert 5 == len(_instances([endless], WINDOW, Place(), 100))


def test_an_instance_of_2500_years_hides_no_other_series() -> None:
    span = {"type": "endDate", "startDate": "2026-03-02", "endDate": "2400-01-01"}
    long = series("2026-03-02T14:00:00", "4526-03-02T14:00:00", span)
    assert 5 == listed(long)
    assert _end_of_series(long.event) > WINDOW.end


DAYS = st.one_of(
    st.dates(date(1, 1, 1), date(9999, 12, 31)),
    st.sampled_from([date.min, date.max, date(1600, 12, 31), date(9999, 1, 1), date(2026, 3, 2)]),
)


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(DAYS, DAYS, DAYS, DAYS, st.sampled_from(["weekly", "daily"]))
def test_dates_at_the_ends_of_time_hide_no_other_series(
    begins: date, ends: date, first: date, until: date, kind: str
) -> None:
    span = {"type": "endDate", "startDate": first.isoformat(), "endDate": until.isoformat()}
    try:
        stored = series(f"{begins}T00:00:00", f"{ends}T23:59:59", span, kind)
    except UnreadableEventError:
        return
    assert _end_of_series(stored.event) >= datetime.min.replace(tzinfo=UTC) + timedelta()
    assert 5 == listed(stored)


def test_a_long_text_is_copied_only_into_a_page_of_instances() -> None:
    span = {"type": "noEnd", "startDate": "2026-03-02"}
    endless = series("2026-03-02T14:00:00", "2026-03-02T15:00:00", span, "daily")
    endless.event.body_text = "x" * 199_000
    year = Window(WINDOW.begin, WINDOW.begin + timedelta(days=365))
    found = _instances([endless], year, Place(), 1001)
    page = _page(found, 1000)
    later = _page(_instances([endless], year, page.next or Place(), 1001), 1000)

    assert sum(one.ByteSize() for one in found) < 2 * PAGE_BYTES
    assert page.next is not None
    assert {199_000} == {len(one.body_text) for one in (*page.events, *later.events)}
    assert [one.start.local for one in found][: 2 * len(page.events)] == [
        one.start.local for one in (*page.events, *later.events)
    ]
