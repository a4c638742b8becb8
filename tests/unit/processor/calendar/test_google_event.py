"""Google's events become ours without the mistakes that their forms invite."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.mapping.google_calendar import map_calendar
from services.processor.calendar.mapping.google_event import lines_of, map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents, UnreadableEventError
from services.processor.calendar.mapping.series import Series

CALENDAR = CalendarOfEvents("019a9f0e-7c1e-7000-8000-00000000000c", zone="Europe/Berlin")
ZONE = "America/New_York"


def google_event(**changed: Any) -> dict[str, Any]:
    event: dict[str, Any] = {
        "id": "one", "iCalUID": "one@google.com", "status": "confirmed", "etag": '"1"', "summary": "Review",
        "start": {"dateTime": "2026-03-02T09:00:00-05:00", "timeZone": ZONE},
        "end": {"dateTime": "2026-03-02T10:00:00-05:00", "timeZone": ZONE},
        "organizer": {"email": "ada@fabrikam.test", "self": True}, "eventType": "default",
    }  # fmt: skip
    return {**event, **changed}


def mapped(**changed: Any) -> pb2.CalendarEvent:
    return map_event(google_event(**changed), CALENDAR)


def days(event: pb2.CalendarEvent, until: int = 31) -> list[str]:
    series = Series.of(event, {})
    assert series is not None
    slots = series.slots(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, until, 23, tzinfo=UTC), lambda: None)
    return [(found := slot.event()).start.local[5:16] or found.start.date[5:] for slot in slots]


def test_a_series_keeps_its_wall_clock_and_leaves_its_days_out() -> None:
    lines = [
        "RRULE:FREQ=WEEKLY;BYDAY=MO", "EXDATE;TZID=America/New_York:20260309T090000",
        "EXDATE:20260316T130000Z", "EXDATE;VALUE=DATE:20260323",
    ]  # fmt: skip
    event = mapped(recurrence=lines)
    assert ["03-02T09:00", "03-30T09:00"] == days(event)
    assert (lines, "FREQ=WEEKLY;BYDAY=MO;WKST=MO") == (lines_of(event), event.recurrence.rule)


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("20260316T130000Z", ["03-02T09:00", "03-09T09:00", "03-16T09:00"]),
        ("20260316T125959Z", ["03-02T09:00", "03-09T09:00"]),
        ("20260316", ["03-02T09:00", "03-09T09:00", "03-16T09:00"]),
        ("20260316T085959", ["03-02T09:00", "03-09T09:00"]),
        ("20260317T035959Z", ["03-02T09:00", "03-09T09:00", "03-16T09:00"]),
    ],
)
def test_the_last_instance_is_neither_lost_nor_one_too_many(until: str, expected: list[str]) -> None:
    assert expected == days(mapped(recurrence=[f"RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL={until}"]))


def test_the_start_of_a_series_is_an_instance_even_beside_its_rule() -> None:
    assert ["03-02T09:00", "03-03T09:00", "03-10T09:00"] == days(
        mapped(recurrence=["RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=3"])
    )


@pytest.mark.parametrize(
    "lines",
    [
        ["RDATE;TZID=America/New_York:20260309T090000"],
        ["RRULE:FREQ=WEEKLY", "RDATE:20260309T130000Z"],
        ["RRULE:FREQ=WEEKLY", "RRULE:FREQ=DAILY"],
        ["RRULE:FREQ=HOURLY"],
        ["RRULE:FREQ=DAILY;INTERVAL=0"],
        ["EXRULE:FREQ=WEEKLY", "RRULE:FREQ=DAILY"],
        ["nonsense"],
    ],
)
def test_lines_that_are_not_expanded_are_kept_as_they_came(lines: list[str]) -> None:
    event = mapped(recurrence=lines)
    assert (pb2.EVENT_KIND_MASTER, "", lines) == (event.kind, event.recurrence.rule, lines_of(event))
    assert Series.of(event, {}) is None


def test_an_all_day_event_is_a_date_and_its_end_is_the_day_after() -> None:
    event = mapped(start={"date": "2026-03-08"}, end={"date": "2026-03-10"}, recurrence=["RRULE:FREQ=DAILY;COUNT=2"])
    assert (True, "2026-03-08", "2026-03-10") == (event.is_all_day, event.start.date, event.end.date)
    assert not event.start.HasField("instant")
    assert ["03-08", "03-09"] == days(event)
    assert "2026-03-09" == mapped(start={"date": "2026-03-08"}, end={"date": "2026-03-08"}).end.date


def test_a_time_without_a_zone_has_the_calendars_and_one_without_an_offset_its_own() -> None:
    plain = mapped(start={"dateTime": "2026-03-02T09:00:00Z"}, end={"dateTime": "2026-03-02T10:00:00Z"})
    local = mapped(start={"dateTime": "2026-03-02T09:00:00", "timeZone": ZONE})
    assert ("2026-03-02T10:00:00", "Europe/Berlin") == (plain.start.local, plain.start.iana_zone)
    assert datetime(2026, 3, 2, 14, tzinfo=UTC) == local.start.instant.ToDatetime(UTC)


@pytest.mark.parametrize(
    ("changed", "busy"),
    [
        ({}, pb2.EVENT_BUSY_BUSY),
        ({"transparency": "transparent"}, pb2.EVENT_BUSY_FREE),
        ({"eventType": "outOfOffice"}, pb2.EVENT_BUSY_OUT_OF_OFFICE),
        ({"eventType": "workingLocation", "transparency": "transparent"}, pb2.EVENT_BUSY_WORKING_ELSEWHERE),
        ({"eventType": "focusTime"}, pb2.EVENT_BUSY_BUSY),
    ],
)
def test_kinds_of_events_have_their_state_in_free_and_busy(changed: Any, busy: Any) -> None:
    event = mapped(**changed)
    assert (busy, changed.get("eventType", "default")) == (event.busy, event.event_type)


def test_attendees_keep_role_and_answer_and_an_omitted_list_is_named() -> None:
    people = [
        {"email": "ada@fabrikam.test", "self": True, "responseStatus": "tentative"},
        {"email": "bob@x.test", "displayName": "Bob", "optional": True, "responseStatus": "needsAction"},
        {"email": "room@x.test", "resource": True, "responseStatus": "accepted"},
    ]
    event = mapped(attendees=people, attendeesOmitted=True, organizer={"email": "eve@x.test"})
    assert [
        (pb2.ATTENDEE_ROLE_REQUIRED, pb2.RESPONSE_STATUS_TENTATIVE),
        (pb2.ATTENDEE_ROLE_OPTIONAL, pb2.RESPONSE_STATUS_NOT_RESPONDED),
        (pb2.ATTENDEE_ROLE_RESOURCE, pb2.RESPONSE_STATUS_ACCEPTED),
    ] == [(one.role, one.response) for one in event.attendees]
    assert (pb2.RESPONSE_STATUS_TENTATIVE, False) == (event.my_response, event.is_organizer)
    assert event.truncation.are_attendees_cut
    assert pb2.RESPONSE_STATUS_ORGANIZER == mapped().my_response


@pytest.mark.parametrize(("status", "state"), [("pending", "PENDING"), ("failure", "FAILED"), ("success", "READY")])
def test_a_meet_meeting_has_its_state_and_dial_ins(status: str, state: str) -> None:
    doors = [
        {"entryPointType": "video", "uri": "https://meet.google.com/abc-defg-hij"},
        {"entryPointType": "phone", "uri": "tel:+1-555", "pin": "123", "regionCode": "US"},
        {"entryPointType": "phone", "uri": "javascript:alert(1)"},
    ]
    request = {"requestId": "x", "conferenceSolutionKey": {"type": "hangoutsMeet"}, "status": {"statusCode": status}}
    ready = {"conferenceId": "abc-defg-hij", "entryPoints": doors} if status == "success" else {}
    meeting = mapped(conferenceData={"createRequest": request, **ready}).online_meeting
    assert f"ONLINE_MEETING_STATE_{state}" == pb2.OnlineMeetingState.Name(meeting.state)
    assert (["tel:+1-555,,123#"] if ready else []) == list(meeting.dial_ins)
    assert "hangoutsMeet" == meeting.provider


def test_a_description_keeps_its_text_without_marks_and_a_plain_one_every_sign() -> None:
    assert "a < b > c & d" == mapped(description="a < b > c & d").body_text
    assert "One\nTwo & three" == mapped(description="<p>One</p><span>Two</span> &amp; <a href=x>three</a>").body_text


@pytest.mark.parametrize(
    "changed",
    [{"id": ""}, {"start": {}}, {"end": {"date": "x"}}, {"start": {"dateTime": "0001-01-01T00:00:00Z"}}, {"start": 7}],
)
def test_an_event_without_id_or_time_is_unreadable(changed: Any) -> None:
    with pytest.raises(UnreadableEventError):
        mapped(**changed)


def test_a_calendar_has_its_owner_rights_and_zone() -> None:
    own = map_calendar(
        {"id": "ada@x.test", "primary": True, "accessRole": "owner", "timeZone": "Europe/Berlin"}, "ada@x.test"
    )
    boss = map_calendar(
        {"id": "boss@x.test", "summary": "Boss", "accessRole": "writerWithoutPrivateAccess"}, "ada@x.test"
    )
    secondary = {
        "id": "c_1@group.calendar.google.com", "summary": "T", "summaryOverride": "Mine", "dataOwner": "eve@x.test",
        "accessRole": "reader", "backgroundColor": "red",
    }  # fmt: skip
    team = map_calendar(secondary, "ada@x.test")
    days_off = map_calendar(
        {"id": "de.german#holiday@group.v.calendar.google.com", "accessRole": "reader"}, "ada@x.test"
    )
    assert own is not None
    assert boss is not None
    assert team is not None
    assert days_off is not None
    assert ("ada@x.test", False, True, "Europe/Berlin") == (
        own.owner_address,
        own.is_shared,
        own.can_write,
        own.time_zone,
    )
    assert ("boss@x.test", True, True) == (boss.owner_address, boss.is_shared, boss.can_write)
    assert ("eve@x.test", "Mine", False, "") == (team.owner_address, team.name, team.can_write, team.color)
    assert ("", False) == (days_off.owner_address, days_off.is_shared)
    assert map_calendar({"id": "x", "deleted": True}, "") is None
