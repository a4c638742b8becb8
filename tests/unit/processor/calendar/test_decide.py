"""The change of an event follows from its stored version and the provider's alone."""

from typing import Any

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.decide import CREATED, DELETED, MAX_INSTANCES, UPDATED, decide
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import MAX_EVENT_BYTES
from services.processor.calendar.rows import SeenEvent, StoredEvent
from tests.unit.processor.calendar.graph_json import CALENDAR, graph_event, weekly

PERSON = {"type": "required", "emailAddress": {"address": "a@b.test"}, "status": {"response": "none"}}


def stored(event: dict[str, Any], **facts: Any) -> StoredEvent:
    return StoredEvent(map_event(event, CALENDAR), 3, **facts)


def seen(event: dict[str, Any], **exceptions: pb2.CalendarEvent) -> SeenEvent:
    found = map_event(event, CALENDAR)
    return SeenEvent(
        found.calendar_event_id, found, {name[1:].replace("_", "-"): one for name, one in exceptions.items()}
    )


def exception(**changed: Any) -> pb2.CalendarEvent:
    fields = {"id": "AAMkAD-x=", "type": "exception", "seriesMasterId": "AAMkAD-series=", **changed}
    return map_event(graph_event(originalStart="2026-03-09T13:00:00Z", **fields), CALENDAR)


def test_an_unknown_event_is_created_and_a_deleted_one_that_comes_back_too() -> None:
    first = decide(None, seen(graph_event()))
    again = decide(stored(graph_event(), is_deleted=True), seen(graph_event()))
    assert first is not None
    assert again is not None
    assert [(CREATED, 1), (CREATED, 4)] == [(one.event_type, one.stored.revision) for one in (first, again)]


def test_an_event_that_is_gone_is_deleted_once_with_its_last_version() -> None:
    gone = SeenEvent("x", None)
    decision = decide(stored(graph_event()), gone)
    assert decision is not None
    assert (DELETED, 4, True, "Review") == (
        decision.event_type, decision.stored.revision, decision.stored.is_deleted, decision.stored.event.subject
    )  # fmt: skip
    assert decide(decision.stored, gone) is None
    assert decide(None, gone) is None


def test_a_new_version_without_a_difference_is_stored_and_not_announced() -> None:
    decision = decide(
        stored(graph_event()), seen(graph_event(changeKey="new", lastModifiedDateTime="2026-11-27T10:00:00Z"))
    )
    assert decision is not None
    assert ("", 3, "new") == (decision.event_type, decision.stored.revision, decision.stored.event.version)


def test_an_update_names_the_fields_that_differ() -> None:
    answered = {**PERSON, "status": {"response": "accepted", "time": "2026-02-27T10:00:00Z"}}
    decision = decide(stored(graph_event(attendees=[PERSON])), seen(graph_event(attendees=[answered], subject="New")))
    assert decision is not None
    assert decision.change is not None
    assert (UPDATED, 4, ["attendees", "subject"]) == (
        decision.event_type, decision.stored.revision, list(decision.change.fields)
    )  # fmt: skip


def test_instances_are_named_when_they_are_deleted_changed_and_restored() -> None:
    cancelled = weekly(cancelledOccurrences=["OID.x.2026-03-16"])
    decision = decide(stored(cancelled), seen(weekly(), d2026_03_09=exception(subject="Moved")))
    assert decision is not None
    assert decision.change is not None
    assert ["Moved"] == [one.subject for one in decision.change.changed_instances]
    assert ["2026-03-16T09:00:00"] == [one.local for one in decision.change.restored_starts]
    again = decide(decision.stored, seen(weekly(), d2026_03_09=exception(subject="Moved")))
    assert again is not None
    assert "" == again.event_type


def test_a_change_of_many_large_instances_fits_into_an_entry() -> None:
    person = {"type": "required", "emailAddress": {"address": "\u4e2d" * 500, "name": "\u4e2d" * 500}}
    body = {"contentType": "text", "content": "\u4e2d" * 200_000}
    large = map_event(weekly(attendees=[person] * 1000, body=body), CALENDAR)
    assert large.ByteSize() <= MAX_EVENT_BYTES + 100
    assert (True, True) == (large.truncation.are_attendees_cut, large.truncation.is_body_cut)
    changed = exception(attendees=[person] * 1000, body=body)
    days = {f"2026-03-{day:02}": changed for day in range(1, 29)}
    decision = decide(StoredEvent(large, 1), SeenEvent(large.calendar_event_id, large, days))
    assert decision is not None
    assert decision.change is not None
    assert decision.change.is_cut
    assert 0 < len(decision.change.changed_instances) < MAX_INSTANCES
    assert decision.change.ByteSize() + large.ByteSize() < 1024 * 1024
