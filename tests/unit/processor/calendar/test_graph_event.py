"""Graph's events in our form: times, all-day, states, attendees, meetings, and bounds."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import MAX_ATTENDEES, MAX_BODY, CalendarOfEvents, UnreadableEventError
from services.processor.calendar.mapping.series import Series, day_in_series, slot_key
from tests.unit.processor.calendar.graph_json import CALENDAR, UTC_MIDNIGHT, graph_event, weekly


def mapped(**changed: Any) -> pb2.CalendarEvent:
    return map_event(graph_event(**changed), CALENDAR)


def test_a_time_in_utc_is_not_shifted_by_the_original_zone() -> None:
    start = mapped().start
    assert datetime(2026, 3, 2, 14, tzinfo=UTC) == start.instant.ToDatetime(UTC)
    assert ("2026-03-02T09:00:00", "America/New_York", "Eastern Standard Time", False) == (
        start.local, start.iana_zone, start.provider_zone, start.is_zone_approximate
    )  # fmt: skip


def test_a_custom_zone_falls_back_to_the_mailbox_and_is_exact_in_utc() -> None:
    custom = graph_event(originalStartTimeZone="tzone://Microsoft/Custom")
    alone = map_event(custom, CALENDAR).start
    beside = map_event(custom, CalendarOfEvents(CALENDAR.calendar_id, zone="Tokyo Standard Time")).start
    assert ("Etc/UTC", True, "2026-03-02T14:00:00") == (alone.iana_zone, alone.is_zone_approximate, alone.local)
    assert ("Asia/Tokyo", "2026-03-02T23:00:00") == (beside.iana_zone, beside.local)
    assert alone.instant == beside.instant == mapped().start.instant


def test_an_all_day_event_is_a_date_whatever_its_zone() -> None:
    event = mapped(
        isAllDay=True,
        start=UTC_MIDNIGHT,
        end={"dateTime": "2026-03-09T00:00:00.0000000", "timeZone": "UTC"},
        originalStartTimeZone="Pacific Standard Time",
    )
    assert (pb2.EventTime(date="2026-03-08"), pb2.EventTime(date="2026-03-09")) == (event.start, event.end)


def test_an_all_day_event_without_length_lasts_a_day() -> None:
    event = mapped(isAllDay=True, start=UTC_MIDNIGHT, end=UTC_MIDNIGHT)
    assert "2026-03-09" == event.end.date


@pytest.mark.parametrize(
    ("member", "value", "field", "expected"),
    [
        ("isCancelled", True, "status", pb2.EVENT_STATUS_CANCELLED),
        ("importance", "high", "importance", pb2.EVENT_IMPORTANCE_HIGH),
        ("importance", None, "importance", pb2.EVENT_IMPORTANCE_NORMAL),
        ("sensitivity", "personal", "visibility", pb2.EVENT_VISIBILITY_PRIVATE),
        ("sensitivity", "confidential", "visibility", pb2.EVENT_VISIBILITY_CONFIDENTIAL),
        ("showAs", "oof", "busy", pb2.EVENT_BUSY_OUT_OF_OFFICE),
        ("showAs", "workingElsewhere", "busy", pb2.EVENT_BUSY_WORKING_ELSEWHERE),
        ("showAs", "unknown", "busy", pb2.EVENT_BUSY_UNSPECIFIED),
        ("responseStatus", {"response": "tentativelyAccepted"}, "my_response", pb2.RESPONSE_STATUS_TENTATIVE),
        ("responseStatus", {"response": "none"}, "my_response", pb2.RESPONSE_STATUS_UNSPECIFIED),
        ("type", "exception", "kind", pb2.EVENT_KIND_EXCEPTION),
    ],
)
def test_states_have_their_equal(member: str, value: Any, field: str, expected: int) -> None:
    assert expected == getattr(mapped(**{member: value}), field)


def test_attendees_keep_role_and_answer_and_lose_times_that_are_none() -> None:
    people = [
        {"type": "required", "emailAddress": {"address": "bob@contoso.test", "name": "Bob"},
         "status": {"response": "accepted", "time": "2026-02-27T10:00:00.1234567Z"}},
        {"type": "optional", "emailAddress": {"address": "eve@contoso.test"},
         "status": {"response": "none", "time": "0001-01-01T00:00:00Z"}},
        {"type": "resource", "emailAddress": {"address": "room@contoso.test"},
         "status": {"response": "notResponded", "time": "4501-01-01T00:00:00Z"}},
        "nobody",
    ]  # fmt: skip
    bob, eve, room = mapped(attendees=people).attendees
    assert ("Bob", pb2.ATTENDEE_ROLE_REQUIRED, pb2.RESPONSE_STATUS_ACCEPTED) == (
        bob.person.name,
        bob.role,
        bob.response,
    )
    assert datetime(2026, 2, 27, 10, 0, 0, 123456, tzinfo=UTC) == bob.responded_at.ToDatetime(UTC)
    assert [pb2.RESPONSE_STATUS_UNSPECIFIED, pb2.RESPONSE_STATUS_NOT_RESPONDED] == [eve.response, room.response]
    assert [False, False] == [one.HasField("responded_at") for one in (eve, room)]


def test_a_teams_meeting_is_ready_with_its_address_and_dial_ins() -> None:
    info = {
        "joinUrl": "https://teams.example.test/l/meetup-join/1",
        "conferenceId": "123456789",
        "tollNumber": "+49 30 1",
        "tollFreeNumbers": ["+49 800 1", "+49 30 1"],
    }
    event = mapped(isOnlineMeeting=True, onlineMeetingProvider="teamsForBusiness", onlineMeeting=info)
    meeting = event.online_meeting
    assert (pb2.ONLINE_MEETING_STATE_READY, info["joinUrl"]) == (meeting.state, meeting.join_url)
    assert ["tel:+49 30 1,,123456789#", "tel:+49 800 1,,123456789#"] == list(meeting.dial_ins)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"}, pb2.ONLINE_MEETING_STATE_PENDING),
        (
            {
                "isOnlineMeeting": True,
                "onlineMeetingProvider": "x",
                "onlineMeeting": {"joinUrl": "javascript:alert(1)"},
            },
            pb2.ONLINE_MEETING_STATE_PENDING,
        ),
        ({"isOnlineMeeting": False, "onlineMeetingProvider": "unknown"}, None),
        ({"isOnlineMeeting": True, "onlineMeetingProvider": "unknown"}, None),
    ],
)
def test_a_meeting_without_an_address_is_pending_and_an_unknown_one_is_none(changed: Any, state: Any) -> None:
    event = mapped(**changed)
    assert state == (event.online_meeting.state if event.HasField("online_meeting") else None)


def test_a_body_in_html_is_left_out() -> None:
    event = mapped(body={"contentType": "html", "content": "<script>x</script>"}, bodyPreview="Preview")
    assert "Preview" == event.body_text


def test_long_parts_are_cut_and_named() -> None:
    person = {"type": "required", "emailAddress": {"address": "a@b.test", "name": "Name"}}
    event = mapped(
        categories=["c" * 600],
        body={"contentType": "text", "content": "x" * (MAX_BODY + 1)},
        subject="s" * 5000,
        attendees=[person] * (MAX_ATTENDEES + 1),
    )
    assert (MAX_BODY, 2000, MAX_ATTENDEES) == (len(event.body_text), len(event.subject), len(event.attendees))
    cut = event.truncation
    assert (True, True, True) == (cut.is_body_cut, cut.are_attendees_cut, cut.are_texts_cut)
    assert event.ByteSize() < 1024 * 1024
    assert not mapped().HasField("truncation")


def test_text_that_cannot_be_stored_is_replaced() -> None:
    assert "a\ufffdb\ufffd" == mapped(subject="a\0b\ud800").subject


@pytest.mark.parametrize(
    "changed",
    [
        {"id": ""},
        {"id": 7},
        {"start": None},
        {"start": {"dateTime": "soon", "timeZone": "UTC"}},
        {"start": {"dateTime": "2026-03-02T14:00:00+01:00", "timeZone": "UTC"}},
        {"end": {"dateTime": "0001-01-01T00:00:00.0000000", "timeZone": "UTC"}},
    ],
)
def test_an_event_without_id_or_time_is_unreadable(changed: Any) -> None:
    with pytest.raises(UnreadableEventError):
        mapped(**changed)


def test_the_same_event_keeps_its_id_and_another_calendar_gives_another() -> None:
    other = map_event(graph_event(), CalendarOfEvents("019a9f0e-7c1e-7000-8000-00000000000d", "boss@contoso.test"))
    assert mapped().calendar_event_id == mapped(subject="New").calendar_event_id != other.calendar_event_id
    assert "boss@contoso.test" == other.delegate_email


def instances(master: dict[str, Any], *exceptions: dict[str, Any], until: int = 31) -> list[pb2.CalendarEvent]:
    found = map_event(master, CALENDAR)
    changed = [map_event(one, CALENDAR) for one in exceptions]
    days = {day_in_series(found, one.original_start).isoformat(): one for one in changed}
    series = Series.of(found, days)
    assert series is not None
    window = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, until, tzinfo=UTC)
    return [slot.event() for slot in series.slots(*window, lambda: None)]


def test_a_series_keeps_its_wall_clock_over_the_change_of_the_clocks() -> None:
    found = [one.start.instant.ToDatetime(UTC) for one in instances(weekly())]
    assert [(2, 14), (9, 13), (16, 13), (23, 13), (30, 13)] == [(one.day, one.hour) for one in found]


def test_a_deleted_instance_is_missing_and_a_moved_one_comes_once() -> None:
    moved = graph_event(
        id="AAMkAD-moved=",
        type="exception",
        seriesMasterId="AAMkAD-series=",
        originalStart="2026-03-16T13:00:00Z",
        start={"dateTime": "2026-03-17T13:00:00.0000000", "timeZone": "UTC"},
        end={"dateTime": "2026-03-17T14:00:00.0000000", "timeZone": "UTC"},
    )
    found = instances(weekly(cancelledOccurrences=["OID.AAMkAD-series=.2026-03-09"]), moved)
    assert ["03-02", "03-17", "03-23", "03-30"] == [one.start.local[5:10] for one in found]
    assert pb2.EVENT_KIND_EXCEPTION == found[1].kind
    assert "2026-03-16T09:00:00" == found[1].original_start.local
    assert found[0].series_master_id == found[1].series_master_id == map_event(weekly(), CALENDAR).calendar_event_id
    assert 4 == len({one.calendar_event_id for one in found})


def test_a_rule_in_another_zone_than_the_start_gives_start_and_end_in_their_own_zones() -> None:
    """A rule of Auckland's Tuesdays, for a meeting from 15:00 to 17:00 on New York's Mondays that ends in Chicago."""
    rule = weekly()["recurrence"]
    rule["pattern"]["daysOfWeek"] = ["tuesday"]
    rule["range"] = {"type": "noEnd", "startDate": "2026-03-03", "recurrenceTimeZone": "New Zealand Standard Time"}
    times = {
        "start": {"dateTime": "2026-03-02T20:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-03-02T22:00:00.0000000", "timeZone": "UTC"},
        "originalEndTimeZone": "Central Standard Time",
    }
    moved = graph_event(
        id="AAMkAD-moved=",
        type="exception",
        seriesMasterId="AAMkAD-series=",
        originalStart="2026-03-16T20:00:00Z",
        start={"dateTime": "2026-03-19T20:00:00.0000000", "timeZone": "UTC"},
        end={"dateTime": "2026-03-19T22:00:00.0000000", "timeZone": "UTC"},
    )
    found = instances(weekly(recurrence=rule, **times), moved, until=26)
    assert ["03-02T15:00:00", "03-09T16:00:00", "03-19T16:00:00", "03-23T16:00:00"] == [
        one.start.local[5:] for one in found
    ]
    assert {"America/New_York"} == {one.start.iana_zone for one in found}
    assert {2 * 3600} == {one.end.instant.seconds - one.start.instant.seconds for one in found}
    plain = [one for one in found if one.kind == pb2.EVENT_KIND_OCCURRENCE]
    assert {("America/Chicago", "17:00:00")} == {(one.end.iana_zone, one.end.local[11:]) for one in plain[1:]}
    assert ["2026-03-03T09:00:00", "2026-03-10T09:00:00"] == [one.original_start.local for one in plain[:2]]


def test_a_day_that_a_zone_left_out_gives_no_instance_out_of_order() -> None:
    """Samoa had no 30 December 2011: the instances of the 30th and 31st begin at one instant."""
    rule = weekly()["recurrence"]
    rule["pattern"] = {"type": "daily", "interval": 1}
    rule["range"] = {"type": "noEnd", "startDate": "2011-12-01", "recurrenceTimeZone": "Samoa Standard Time"}
    times = {
        "start": {"dateTime": "2011-12-01T19:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2011-12-01T20:00:00.0000000", "timeZone": "UTC"},
        "originalStartTimeZone": "Samoa Standard Time",
        "originalEndTimeZone": "Samoa Standard Time",
    }
    series = Series.of(map_event(weekly(recurrence=rule, **times), CALENDAR), {})
    assert series is not None
    window = datetime(2011, 12, 25, tzinfo=UTC), datetime(2012, 1, 5, tzinfo=UTC)
    keys = [slot_key(slot) for slot in series.slots(*window, lambda: None)]
    assert sorted(keys) == keys
    assert len(keys) == len({key[0] for key in keys}) + 1


def test_a_series_of_whole_days_has_dates() -> None:
    master = weekly(
        isAllDay=True,
        start={"dateTime": "2026-03-02T00:00:00.0000000", "timeZone": "UTC"},
        end={"dateTime": "2026-03-04T00:00:00.0000000", "timeZone": "UTC"},
    )
    found = instances(master, until=12)
    assert [("2026-03-02", "2026-03-04"), ("2026-03-09", "2026-03-11")] == [
        (one.start.date, one.end.date) for one in found
    ]


def test_the_original_start_of_a_whole_day_is_its_local_day() -> None:
    one = graph_event(
        type="exception",
        isAllDay=True,
        start=UTC_MIDNIGHT,
        end=UTC_MIDNIGHT,
        originalStart="2026-03-09T07:00:00Z",
        originalStartTimeZone="Pacific Standard Time",
    )
    assert "2026-03-09" == map_event(one, CALENDAR).original_start.date


def test_events_of_one_ical_uid_are_as_many_as_their_ids() -> None:
    first, second = (map_event(graph_event(id=name, iCalUId="UID"), CALENDAR) for name in ("AAMk-a", "AAMk-A"))
    assert first.ical_uid == second.ical_uid == "UID"
    assert first.calendar_event_id != second.calendar_event_id


def test_without_a_selected_original_start_there_is_none() -> None:
    assert not mapped(type="exception", seriesMasterId="AAMkAD-series=").HasField("original_start")


def test_a_recurrence_that_cannot_be_expanded_is_kept_as_it_came() -> None:
    event = map_event(weekly(recurrence={"pattern": {"type": "lunar"}, "range": {}}), CALENDAR)
    assert ("", pb2.RECURRENCE_FREQUENCY_UNSPECIFIED) == (event.recurrence.rule, event.recurrence.frequency)
    assert "lunar" == event.recurrence.provider_form["pattern"]["type"]
    assert Series.of(event, {}) is None
