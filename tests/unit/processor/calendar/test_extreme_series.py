"""No series, however far its dates lie, hides the other events of its calendar."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.processor.calendar.errors import CalendarWindowTooLarge
from services.processor.calendar.instances import Budget, FirstSlots, Wanted, first_slots
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import UnreadableEventError
from services.processor.calendar.mapping.series import Slot
from services.processor.calendar.reading import PAGE_BYTES, EventsPage, Place, Window, _page
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


def first(stored: Sequence[StoredEvent], window: Window, after: Place, limit: int, steps: int = 100_000) -> FirstSlots:
    wanted = Wanted(window.begin, window.end, (after.starts_at, after.event_id), limit, PAGE_BYTES)
    return first_slots(FirstSlots(), stored, wanted, Budget("", steps))


def slots(*stored: StoredEvent) -> Sequence[Slot]:
    return first(stored, WINDOW, Place(), 1000).slots


def listed(*stored: StoredEvent) -> int:
    plain = StoredEvent(map_event(weekly(), CALENDAR), 1)
    found = [slot.event() for slot in slots(*stored, plain)]
    return sum(one.series_master_id == plain.event.calendar_event_id for one in found)


def test_a_series_until_the_last_day_of_time_is_expanded() -> None:
    endless = series(
        "2026-03-02T14:00:00", "2026-03-02T15:00:00",
        {"type": "endDate", "startDate": "2026-03-02", "endDate": "9999-12-31"},
    )  # fmt: skip
    assert 5 == listed(endless)
    assert 5 == len(slots(endless))


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
    pages: list[EventsPage] = []
    after: Place | None = Place()
    while after is not None:
        found = first([endless], year, after, 1000)
        assert len(found.slots) * 199_000 < 2 * PAGE_BYTES
        pages.append(_page([], found, 1000))
        after = pages[-1].next

    listed_days = [one.start.local[:10] for page in pages for one in page.events]
    assert 364 == len(listed_days) == len(set(listed_days))
    assert sorted(listed_days) == listed_days
    assert {199_000} == {len(one.body_text) for page in pages for one in page.events}


def test_a_page_expands_no_more_than_it_returns_and_ends_when_the_work_is_spent() -> None:
    span = {"type": "noEnd", "startDate": "2020-03-02"}
    daily = [series("2020-03-02T14:00:00", "2020-03-02T15:00:00", span, "daily") for _ in range(200)]
    assert 50 == len(first(daily, WINDOW, Place(), 50, steps=3000).slots)
    with pytest.raises(CalendarWindowTooLarge) as refused:
        first(daily, WINDOW, Place(), 50, steps=300)
    assert {"calendar_id": ""} == refused.value.metadata
    with pytest.raises(CalendarWindowTooLarge):
        first_slots(
            FirstSlots(), daily, Wanted(WINDOW.begin, WINDOW.end, (WINDOW.begin, ""), 50, 1), Budget("", seconds=0)
        )


def test_parts_of_the_series_give_the_same_first_instances_as_all_together() -> None:
    span = {"type": "noEnd", "startDate": "2020-03-02"}
    every = [series(f"2020-03-02T{n:02}:00:00", "2020-03-03T15:00:00", span, "daily") for n in range(9)]
    for n, one in enumerate(every):
        one.event.calendar_event_id = f"019a9f0e-7c1e-7000-8000-00000000000{n}"
    wanted = Wanted(WINDOW.begin, WINDOW.end, (WINDOW.begin, ""), 40, PAGE_BYTES)
    whole = first_slots(FirstSlots(), every, wanted, Budget(""))
    parts = FirstSlots()
    for begin in range(0, 9, 2):
        parts = first_slots(parts, every[begin : begin + 2], wanted, Budget(""))
    assert [slot.event_id for slot in whole.slots] == [slot.event_id for slot in parts.slots]
    assert whole.is_cut
    assert parts.is_cut
