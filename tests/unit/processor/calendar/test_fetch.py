"""A page of changes names events; what it says of them is not believed."""

from typing import Any

from services.processor.calendar.fetch import EventFetcher
from tests.unit.processor.calendar.graph_json import CALENDAR, graph_event, weekly


class Shown:
    """A provider that shows some events by id."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = {one["id"]: one for one in events}

    async def event(self, calendar_id: str, event_id: str) -> dict[str, Any] | None:
        del calendar_id
        return self.events.get(event_id)

    async def has_calendar(self, calendar_id: str) -> bool:
        return bool(calendar_id)


async def test_a_removed_event_is_deleted_only_where_the_provider_does_not_show_it() -> None:
    fetcher = EventFetcher(Shown(graph_event(id="moved", subject="Still there")), "calendar", CALENDAR)
    removed = [{"id": name, "@removed": {"reason": "deleted"}} for name in ("moved", "gone")]
    moved, gone = await fetcher.seen(removed)
    assert moved.event is not None
    assert ("Still there", None) == (moved.event.subject, gone.event)


async def test_a_stub_of_an_instance_is_read_through_its_series() -> None:
    master = weekly(subject="Weekly")
    fetcher = EventFetcher(Shown(master), "calendar", CALENDAR)
    stub = {"id": "stub", "type": "occurrence", "seriesMasterId": master["id"], "changeKey": "k"}
    (seen,) = await fetcher.seen([stub, {**stub, "id": "another"}])
    assert seen.event is not None
    assert "Weekly" == seen.event.subject
