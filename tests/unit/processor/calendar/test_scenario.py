"""200 hard series give the same instances by our expansion, by the simulated providers' and by one in JavaScript.

Each series is put together in both providers' forms; `hard_series` says what makes it hard.
"""

import asyncio
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.google_fetch import GoogleFetcher
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.graph_rules import recurrence_of
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.mapping.rules import parse_rule
from services.processor.calendar.mapping.series import Series, day_in_series
from services.processor.calendar.mapping.times import sort_instant
from simulator.clock import Clock
from simulator.google import occurrences as google_occurrences
from simulator.mailboxes import occurrences as graph_occurrences
from simulator.mailboxes.calendars import Calendars
from simulator.mailboxes.google_calendars import GoogleCalendars
from tests.programs.toolchains import require
from tests.unit.processor.calendar.hard_series import RULES, SERIES, YEARS, ZONES, Hard, hard, is_real
from tools.generate.protos import ROOT

CALENDAR = CalendarOfEvents("019a9f0e-7c1e-7000-8000-00000000000c")
PROGRAM = "tests/unit/processor/calendar/expand_series.mjs"


def graph_master(one: Hard) -> dict[str, Any]:
    """The series in Graph's form, without its changes."""
    rule = parse_rule(one.full, one.zone)
    return {**graph_times(one, one.moment(one.days[0])), "recurrence": recurrence_of(rule, one.days[0], one.zone)}


def by_graph(one: Hard) -> list[datetime]:
    """The instances of the series in Graph's form, by our expansion."""
    away = [f"OID.master.{day}" for day in one.cancelled]
    master = {"id": "master", "type": "seriesMaster", **graph_master(one), "cancelledOccurrences": away}
    series = map_event(master, CALENDAR)
    changed = [
        map_event(
            {"id": f"moved-{day}", "type": "exception", "seriesMasterId": "master", **graph_times(one, to),
             "originalStart": one.moment(day).strftime("%Y-%m-%dT%H:%M:%SZ")}, CALENDAR
        )
        for day, to in one.moved.items()
    ]  # fmt: skip
    return instants(series, {day_in_series(series, each.original_start).isoformat(): each for each in changed})


def by_google(one: Hard) -> list[datetime]:
    """The instances of the series in Google's form, put together from entries in any order, by our expansion."""
    entries: list[dict[str, Any]] = [
        {"id": f"master_{day}", "status": "cancelled", "recurringEventId": "master",
         "originalStartTime": google_time(one, one.moment(day))} for day in one.cancelled[1:]
    ]  # fmt: skip
    entries += [
        {"id": f"master_{day}", "recurringEventId": "master",
         "originalStartTime": google_time(one, one.moment(day)), **google_times(one, to)}
        for day, to in one.moved.items()
    ]  # fmt: skip
    entries.append({"id": "master", **google_master(one)})
    fetcher = GoogleFetcher(None, "", CALENDAR, 0, None)  # type: ignore[arg-type] - nothing is asked for
    (seen,) = asyncio.run(fetcher.whole(entries))
    assert seen.event is not None
    return instants(seen.event, dict(seen.exceptions))


def by_simulated_graph(one: Hard) -> list[datetime]:
    """The instances of the series in a calendar of the simulated Graph."""
    calendars = Calendars("ada@contoso.test", Clock())
    (calendar,) = calendars.by_id.values()
    given = graph_master(one)
    zones = {name: given[name] for name in ("originalStartTimeZone", "originalEndTimeZone", "isAllDay", "recurrence")}
    master = calendars.create(calendar, {**zones, **simulated_times(given)})
    for day in one.cancelled:
        calendars.cancel(calendar, master, day.isoformat())
    for day, to in one.moved.items():
        original, times = one.moment(day).strftime("%Y-%m-%dT%H:%M:%SZ"), simulated_times(graph_times(one, to))
        calendars.change_instance(calendar, master, day.isoformat(), original, times)
    begin, end = (each.replace(tzinfo=None) for each in YEARS)
    found = graph_occurrences.instances(calendar, master, begin, end)
    shown = [datetime.fromisoformat(each.fields["start"]).replace(tzinfo=UTC) for each in found]
    # East of UTC the window has a whole day that is shown at its end.
    return [each for each in shown if each < YEARS[1]]


def by_simulated_google(one: Hard) -> list[datetime]:
    """The instances of the series in a calendar of the simulated Google."""
    calendars = GoogleCalendars("ada@contoso.test", Clock())
    calendar = calendars.find("primary")
    master = calendars.create(calendar, google_master(one))
    for day in one.cancelled[1:]:
        calendars.change_instance(calendar, master, google_time(one, one.moment(day)), {"status": "cancelled"})
    for day, to in one.moved.items():
        calendars.change_instance(calendar, master, google_time(one, one.moment(day)), google_times(one, to))
    found = google_occurrences.instances(calendar, master, *YEARS)
    return [google_occurrences.moment_of(each["start"]) for each in found]


def google_master(one: Hard) -> dict[str, Any]:
    """The series in Google's form; the first cancelled instance is a line of it."""
    out = [f"EXDATE{one.value(day)}" for day in one.cancelled[:1]]
    return {**google_times(one, one.moment(one.days[0])), "recurrence": [f"RRULE:{one.full}", *out]}


def graph_times(one: Hard, moment: datetime) -> dict[str, Any]:
    """The times of an instance at Graph, in UTC."""
    zone = {"originalStartTimeZone": one.zone, "originalEndTimeZone": one.zone}
    times = {name: {"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"}
             for name, at in (("start", moment), ("end", moment + length(one)))}  # fmt: skip
    return {"isAllDay": one.clock is None, **times, **zone}


def simulated_times(given: dict[str, Any]) -> dict[str, str]:
    """The times of an event as the simulator's control takes them."""
    return {name: given[name]["dateTime"][:19] for name in ("start", "end")}


def google_times(one: Hard, moment: datetime) -> dict[str, Any]:
    """The times of an instance at Google."""
    return {"start": google_time(one, moment), "end": google_time(one, moment + length(one))}


def google_time(one: Hard, moment: datetime) -> dict[str, str]:
    """A time at Google: a day, or an offset and a zone."""
    if one.clock is None:
        return {"date": moment.date().isoformat()}
    return {"dateTime": moment.astimezone(ZoneInfo(one.zone)).isoformat(), "timeZone": one.zone}


def length(one: Hard) -> timedelta:
    """The length of an instance."""
    return timedelta(hours=1) if one.clock else timedelta(days=1)


def instants(master: pb2.CalendarEvent, exceptions: dict[str, pb2.CalendarEvent]) -> list[datetime]:
    """The instants at which our expansion begins the instances of the four years."""
    series = Series.of(master, exceptions)
    assert series is not None
    found = [slot.starts_at for slot in series.slots(*YEARS, lambda: None)]
    return [one for one in found if one >= YEARS[0]]


@pytest.mark.parametrize("begin", range(0, SERIES, 20))
@pytest.mark.parametrize("way", [by_graph, by_google, by_simulated_graph, by_simulated_google])
def test_hard_series_have_the_same_instances_in_each_form(way: Callable[[Hard], list[datetime]], begin: int) -> None:
    for number in range(begin, begin + 20):
        one = hard(number)
        expected = one.expected()
        assert expected, f"series {number} has no instance"
        assert expected == [each for each in way(one) if each >= YEARS[0]], f"series {number}: {one}"


def test_hard_series_have_the_same_instances_by_an_implementation_in_javascript() -> None:
    library = ROOT / "node_modules" / "rrule-temporal"
    require("node")
    assert library.is_dir(), "npm ci installs it"
    series = [hard(number) for number in range(SERIES)]
    asked = "".join(json.dumps(one.icalendar()) + "\n" for one in series)
    done = subprocess.run(
        ["node", PROGRAM], cwd=ROOT, input=asked, capture_output=True, text=True, timeout=120, check=True
    )
    answers = done.stdout.splitlines()
    assert SERIES == len(answers)
    for one, answer in zip(series, answers, strict=True):
        found = map(datetime.fromisoformat, json.loads(answer))
        assert one.expected() == [each for each in found if YEARS[0] <= each < YEARS[1]], one


def test_the_ends_that_a_page_compares_are_those_of_the_instances() -> None:
    for number in range(SERIES):
        one = hard(number)
        series = Series.of(map_event({"id": "master", "type": "seriesMaster", **graph_master(one)}, CALENDAR), {})
        assert series is not None
        for day in one.days[:60]:
            assert sort_instant(series.at(day).end) == series.end_instant(day, one.moment(day)), (one, day)


def test_the_series_are_hard() -> None:
    series = [hard(number) for number in range(SERIES)]
    clocks = {
        (one.zone, one.moment(day).astimezone(ZoneInfo(one.zone)).utcoffset()) for one in series for day in one.days
    }
    assert all(any(one.rule.startswith(rule) for one in series) for rule in RULES)
    assert 8 == sum(len({offset for zone, offset in clocks if zone == each}) > 1 for each in ZONES)
    assert 20 <= sum(one.clock is None for one in series)
    assert all(
        60 <= sum(map(bool, kind))
        for kind in zip(*((o.cancelled, o.moved, "COUNT" in o.rule, o.until) for o in series), strict=True)
    )
    assert any(one.clock and not is_real(day, one.clock, one.zone) for one in series for day in one.days)
