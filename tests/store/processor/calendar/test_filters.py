"""A filtered list has the wanted events in the order of the list, each once, however small its pages are."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from services.processor.calendar import reading
from services.processor.calendar.choice import Choice, choice_of
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.reading import CalendarReader, Place
from services.processor.calendar.rows import State, StoredEvent
from services.processor.calendar.store import calendars, events
from tests.store.processor.calendar.test_disconnecting import listed
from tests.store.processor.calendar.test_large_pages import WINDOW
from tests.unit.processor.calendar.graph_json import graph_event, weekly

ONLINE = {"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"}
HIGH = {"importance": "high"}
FILTERS: dict[str, dict[str, Any]] = {
    "online": {"has_online_meeting": True},
    "not online": {"has_online_meeting": False},
    "important": {"importances": [event_pb2.EVENT_IMPORTANCE_HIGH, event_pb2.EVENT_IMPORTANCE_LOW]},
    "of a category": {"categories": ["customers", "other"]},
    "of all kinds": {"has_online_meeting": True, "importances": [event_pb2.EVENT_IMPORTANCE_HIGH]},
}


async def followed(pool: db.Pool) -> str:
    """Store a followed calendar with single events of all kinds and a series with an online meeting."""
    row = await listed(pool, new_id())
    facts = CalendarOfEvents(row.calendar_id)
    kinds: list[dict[str, Any]] = [{}, ONLINE, HIGH, {**ONLINE, **HIGH}, {"categories": ["Customers"]}]
    found = [map_event(graph_event(id=f"AAMkAD-{n}=", **kinds[n % len(kinds)]), facts) for n in range(12)]
    stored = [StoredEvent(one, 1) for one in (*found, map_event(weekly(**ONLINE, **HIGH), facts))]
    async with db.transaction(pool) as connection:
        await calendars.change(connection, row.calendar_id, row.follows, {"state": State.FOLLOWED})
        await events.save(connection, row.calendar_id, stored, 1, datetime.now(UTC))
    return row.calendar_id


def choice(**filters: Any) -> Choice:
    """Return the choice of a request with filters."""
    return choice_of(pb2.ListCalendarEventsRequest(**filters))


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("is_expanded", [False, True])
async def test_small_pages_have_the_wanted_events_once_in_order(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch, name: str, is_expanded: bool
) -> None:
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 3)
    calendar_id, wanted = await followed(pool), choice(**FILTERS[name])
    reader, after, found = CalendarReader(pool), Place(), []
    every = await reader.page(calendar_id, None, WINDOW, after, 1000, is_expanded=is_expanded)
    while after is not None:
        page = await reader.chosen(calendar_id, None, WINDOW, after, 2, wanted, is_expanded=is_expanded)
        assert len(page.events) <= 2
        found += [one.calendar_event_id for one in page.events]
        after = page.next

    expected = [one.calendar_event_id for one in every.events if wanted.fits(one)]
    assert 0 < len(expected) < len(every.events)
    assert expected == found


async def test_a_search_without_time_left_ends_where_it_is(pool: db.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 1)
    monkeypatch.setattr(reading, "_SEARCH_SECONDS", 1e-9)
    calendar_id, reader = await followed(pool), CalendarReader(pool)
    wanted = choice(categories=["none of them"])
    first = await reader.chosen(calendar_id, None, WINDOW, Place(), 1, wanted, is_expanded=False)
    assert first.next is not None
    second = await reader.chosen(calendar_id, None, WINDOW, first.next, 1, wanted, is_expanded=False)

    assert ([], []) == (first.events, second.events)
    assert second.next not in (None, first.next)


@pytest.mark.parametrize("wrong", [{"importances": [9]}, {"categories": ["x"] * 26}, {"categories": [""]}])
def test_a_filter_out_of_its_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FieldInvalid):
        choice(**wrong)
