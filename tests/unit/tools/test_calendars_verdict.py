"""The comparison of calendars after a torture finds each kind of fault."""

from typing import Any

import pytest

from mailmesh.calendar.v1 import event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from tests.mesh.calendars_verdict import last_faults, life_faults, write_faults
from tests.mesh.torture_calendars import DAYS, Meeting, Write
from tests.mesh.verdict import Account

ACCOUNT = Account("ms365", "a@contoso.test", "t")
DONE, UNCERTAIN, FAILED = (
    pb2.CALENDAR_WRITE_STATE_DONE,
    pb2.CALENDAR_WRITE_STATE_UNCERTAIN,
    pb2.CALENDAR_WRITE_STATE_FAILED,
)
DOUBT = {"reason": "CALENDAR_WRITE_UNKNOWN", "detail": "no answer"}


def entry(name: str, subject: str = "Plan", **fields: Any) -> event_pb2.NormalizedCalendarEvent:
    made = event_pb2.NormalizedCalendarEvent(event_type=f"calendar.event.{name}", event_id=f"{name}-1", **fields)
    made.event.subject = subject
    return made


RENAMED = entry("updated", "Other", change=event_pb2.CalendarChange(fields=["subject"]))


@pytest.mark.parametrize(
    ("life", "part"),
    [
        ([entry("created")], ""),
        ([entry("created"), RENAMED, entry("deleted")], ""),
        ([RENAMED], "has the life"),
        ([entry("created"), entry("created")], "has the life"),
        ([entry("created"), entry("deleted"), RENAMED], "has the life"),
        ([entry("created"), entry("updated")], "changes nothing"),
    ],
)
def test_a_life_is_created_first_and_once_deleted_last_and_changed_by_each_update(life: list[Any], part: str) -> None:
    found = life_faults("x", life)
    assert bool(part) == bool(found)
    assert part in "".join(found)


@pytest.mark.parametrize(
    ("life", "is_deleted", "is_right"),
    [
        ([entry("created")], False, True),
        ([entry("created"), RENAMED], False, False),
        ([entry("created"), entry("deleted")], True, True),
        ([entry("created"), entry("deleted")], False, False),
        ([entry("created")], True, False),
        ([], True, True),
        ([], False, False),
    ],
)
def test_the_last_entry_says_what_the_provider_has(life: list[Any], *, is_deleted: bool, is_right: bool) -> None:
    assert is_right == (not last_faults("Plan", life, is_deleted=is_deleted))


def write(state: "pb2.CalendarWriteState.ValueType", **fields: Any) -> pb2.CalendarWrite:
    return pb2.CalendarWrite(state=state, **fields)


@pytest.mark.parametrize(
    ("made", "cancelled", "kept", "is_right"),
    [
        (write(DONE), None, 1, True),
        (write(DONE), None, 0, False),
        (write(DONE), None, 2, False),
        (write(UNCERTAIN, **DOUBT), None, 0, True),
        (write(UNCERTAIN, **DOUBT), None, 2, False),
        (write(UNCERTAIN), None, 1, False),
        (write(FAILED, reason="x"), None, 0, False),
        (write(DONE), write(DONE), 0, True),
        (write(DONE), write(DONE), 1, False),
        (write(DONE), write(UNCERTAIN, **DOUBT), 1, True),
        (write(DONE), write(FAILED, reason="x"), 1, False),
    ],
)
def test_a_write_is_judged_by_the_events_of_its_key(
    made: pb2.CalendarWrite, cancelled: pb2.CalendarWrite | None, kept: int, *, is_right: bool
) -> None:
    request = pb2.CreateCalendarEventRequest(idempotency_key="k")
    target = Write(ACCOUNT, request)
    called_off = Write(ACCOUNT, pb2.CancelCalendarEventRequest(idempotency_key="c"), target=target)
    outcomes = {"k": made, **({"c": cancelled} if cancelled is not None else {})}
    assert is_right == (not write_faults("k", outcomes, called_off if cancelled is not None else None, kept))


def test_the_account_of_a_series_has_its_changes() -> None:
    meeting = Meeting(ACCOUNT, "id", "Plan", is_series=True)
    meeting.cancelled.add(DAYS[1])
    meeting.moved[DAYS[2]] = 12, "Old"
    found = meeting.instances()
    assert len(DAYS) - 1 == found.total()
    assert 1 == found["Old", f"{DAYS[2]}T12:00:00"]
    assert 0 == found["Plan", f"{DAYS[1]}T09:00:00"]
    meeting.is_deleted = True
    assert not meeting.instances()
