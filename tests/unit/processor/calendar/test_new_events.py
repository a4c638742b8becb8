"""New events in each provider's form: what it cannot hold is refused by name, and never approximated."""

from typing import Any

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid, MeshError
from services.processor.calendar.writing import google_json, graph_json
from services.processor.calendar.writing.content import check_event, check_for, check_notify
from services.providers.names import GOOGLEWS, MS365

NEW_YORK = {"time_zone": "America/New_York"}
TIMES = {
    "start": {"local": "2026-11-30T09:00:00", **NEW_YORK},
    "end": {"local": "2026-11-30T10:00:00", **NEW_YORK},
}
ALL_DAY = {"start": {"date": "2026-12-24"}, "end": {"date": "2026-12-27"}}
ADA = {"address": "ada@example.com"}
WRITE = "019a9f0e-7c1e-7000-8000-00000000000e"
ALL, EXTERNAL, NONE = pb2.CALENDAR_NOTIFY_ALL, pb2.CALENDAR_NOTIFY_EXTERNAL, pb2.CALENDAR_NOTIFY_NONE


def new(**fields: Any) -> pb2.NewCalendarEvent:
    made = pb2.NewCalendarEvent(**{**TIMES, **fields})
    check_event(made)
    return made


def test_graph_gets_a_wall_clock_in_its_own_name_of_the_zone_and_its_own_form_of_the_rule() -> None:
    made = graph_json.event_json(new(subject="Weekly", recurrence_rule="FREQ=WEEKLY;INTERVAL=2;WKST=MO;COUNT=4"))

    assert {"dateTime": "2026-11-30T09:00:00", "timeZone": "Eastern Standard Time"} == made["start"]
    assert ["monday"] == made["recurrence"]["pattern"]["daysOfWeek"]
    assert "monday" == made["recurrence"]["pattern"]["firstDayOfWeek"]
    assert ("2026-11-30", "Eastern Standard Time") == (
        made["recurrence"]["range"]["startDate"], made["recurrence"]["range"]["recurrenceTimeZone"]
    )  # fmt: skip


def test_an_all_day_event_is_days_at_google_and_midnights_in_one_zone_at_graph() -> None:
    event = new(**ALL_DAY)

    assert ({"date": "2026-12-24"}, {"date": "2026-12-27"}) == tuple(
        google_json.event_json(event, WRITE)[name] for name in ("start", "end")
    )
    made = graph_json.event_json(event)
    assert (True, "2026-12-27T00:00:00", "UTC") == (made["isAllDay"], *made["end"].values())


def test_a_series_of_google_has_its_zone_and_an_end_in_utc() -> None:
    made = google_json.event_json(new(recurrence_rule="FREQ=MONTHLY;BYDAY=-1MO;UNTIL=20270301T000000Z"), WRITE)

    assert ["RRULE:FREQ=MONTHLY;BYDAY=-1MO;UNTIL=20270301T045959Z"] == made["recurrence"]
    assert "America/New_York" == made["start"]["timeZone"]


def test_the_id_of_an_event_of_google_is_made_of_the_writes_id_in_the_letters_that_google_takes() -> None:
    made = google_json.event_id(WRITE)

    assert 26 == len(made)
    assert set(made) <= set("0123456789abcdefghijklmnopqrstuv")


REFUSED: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "Graph holds no two days of the month": (
        MS365, {"recurrence_rule": "FREQ=MONTHLY;BYMONTHDAY=15,30"}, ALL, "CALENDAR_RULE_UNSUPPORTED"
    ),
    "Graph holds no fifth Monday": (
        MS365, {"recurrence_rule": "FREQ=MONTHLY;BYDAY=5MO"}, ALL, "CALENDAR_RULE_UNSUPPORTED"
    ),
    "no provider's hours": (GOOGLEWS, {"recurrence_rule": "FREQ=HOURLY"}, ALL, "CALENDAR_RULE_UNSUPPORTED"),
    "Google has no categories": (GOOGLEWS, {"categories": ["Blue"]}, ALL, "CALENDAR_FIELD_UNSUPPORTED"),
    "Google has no importance": (
        GOOGLEWS, {"importance": event_pb2.EVENT_IMPORTANCE_HIGH}, ALL, "CALENDAR_FIELD_UNSUPPORTED"
    ),
    "Google has no tentative": (GOOGLEWS, {"busy": event_pb2.EVENT_BUSY_TENTATIVE}, ALL, "CALENDAR_FIELD_UNSUPPORTED"),
    "Graph tells all": (MS365, {"attendees": [ADA]}, NONE, "CALENDAR_NOTIFY_UNSUPPORTED"),
    "Graph tells all the insiders too": (MS365, {"attendees": [ADA]}, EXTERNAL, "CALENDAR_NOTIFY_UNSUPPORTED"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_provider_cannot_hold_is_refused_by_name(name: str) -> None:
    provider, fields, notify, reason = REFUSED[name]
    if "BYMONTHDAY=15,30" in fields.get("recurrence_rule", ""):
        fields = {**fields, "start": {**TIMES["start"]}}
    with pytest.raises(MeshError) as refused:
        check_for(provider, new(**fields), notify)  # type: ignore[arg-type]

    assert reason == refused.value.reason


def test_an_event_without_attendees_tells_none_at_graph_and_google_lets_a_caller_choose() -> None:
    check_for(MS365, new(), NONE)
    for notify in (ALL, EXTERNAL, NONE):
        check_for(GOOGLEWS, new(attendees=[ADA]), notify)


MALFORMED: dict[str, dict[str, Any]] = {
    "no time": {"start": {}},
    "a time and a day": {"start": {**TIMES["start"], "date": "2026-11-30"}},
    "an offset": {"start": {"local": "2026-11-30T09:00:00+01:00", **NEW_YORK}},
    "a day that is none": {"start": {"date": "2026-02-30"}, "end": {"date": "2026-03-01"}},
    "Microsoft's name of a zone": {"start": {"local": "2026-11-30T09:00:00", "time_zone": "Eastern Standard Time"}},
    "an end before the start": {"end": {"local": "2026-11-30T08:00:00", **NEW_YORK}},
    "an all-day end on the first day": {"start": {"date": "2026-12-24"}, "end": {"date": "2026-12-24"}},
    "an all-day start alone": {"start": {"date": "2026-11-30"}},
    "an address that is none": {"attendees": [{"address": "ada@"}]},
    "a person twice": {"attendees": [ADA, {"address": "ADA@example.com"}]},
    "a line break in the subject": {"subject": "a\r\nBcc: eve@example.com"},
    "NUL in the body": {"body_text": "a\0"},
    "a reminder before time": {"reminder_minutes": -1},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_event_is_refused(name: str) -> None:
    with pytest.raises(FieldInvalid):
        new(**MALFORMED[name])


def test_a_start_that_its_rule_skips_is_refused_since_the_providers_disagree_about_it() -> None:
    with pytest.raises(FieldInvalid):
        check_for(GOOGLEWS, new(recurrence_rule="FREQ=WEEKLY;BYDAY=TU"), ALL)


def test_a_caller_always_says_who_is_told() -> None:
    with pytest.raises(FieldInvalid):
        check_notify(pb2.CALENDAR_NOTIFY_UNSPECIFIED)


def test_another_rule_of_a_series_of_google_keeps_its_deleted_and_added_days() -> None:
    present = ["EXDATE;VALUE=DATE:20261207", "rrule:FREQ=DAILY", "RDATE;VALUE=DATE:20261208"]

    assert ["RRULE:FREQ=WEEKLY", present[0], present[2]] == google_json.recurrence_json(present, "FREQ=WEEKLY")
