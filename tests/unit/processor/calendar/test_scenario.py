"""200 hard series of four years give the same instances from Graph's form, from Google's, and by python-dateutil.

The zones pass changes of their clocks in both directions, one by half an hour; days 29 to 31, several weekdays with one
position, weeks that begin on Sunday, times that a change of clocks leaves out, whole days, cancelled and moved
instances.
"""

import asyncio
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.google_fetch import GoogleFetcher
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.graph_rules import recurrence_of
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.mapping.rules import parse_rule
from services.processor.calendar.mapping.series import Series, day_in_series

SERIES = 200
YEARS = datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
ZONES = ("America/New_York", "Europe/Berlin", "Europe/London", "Australia/Sydney", "Pacific/Auckland", "Asia/Kolkata",
         "Australia/Lord_Howe", "America/Santiago", "America/Los_Angeles", "Etc/UTC")  # fmt: skip
CLOCKS = (time(0, 30), time(2, 30), time(9), time(23, 45))
RULES = (
    "FREQ=DAILY", "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY;BYDAY=MO,WE,FR;WKST=SU",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;WKST=SU", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;WKST=MO",
    "FREQ=MONTHLY;BYMONTHDAY=15", "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1", "FREQ=MONTHLY;BYMONTHDAY=28,29;BYSETPOS=-1",
    "FREQ=MONTHLY;BYDAY=TU,TH;BYSETPOS=1", "FREQ=MONTHLY;BYDAY=SA,SU;BYSETPOS=-1",
    "FREQ=MONTHLY;INTERVAL=2;BYDAY=FR;BYSETPOS=4",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=3;BYDAY=SU;BYSETPOS=-1", "FREQ=YEARLY;BYMONTH=11;BYDAY=TH;BYSETPOS=4",
)  # fmt: skip
CALENDAR = CalendarOfEvents("019a9f0e-7c1e-7000-8000-00000000000c")


@dataclass
class Hard:
    """One series with the local days that it has by its rule, and those that were cancelled or moved."""

    rule: str
    zone: str
    clock: time | None
    days: list[date]
    until: date | None = None
    cancelled: list[date] = field(default_factory=list)
    moved: dict[date, date] = field(default_factory=dict)

    @property
    def full(self) -> str:
        """The rule with its end, as RFC 5545 writes it."""
        rule = parse_rule(self.rule, self.zone)
        if self.until is None:
            return self.rule
        return replace(rule, until=self.until).text("" if self.clock is None else self.zone)

    def moment(self, day: date) -> datetime:
        """The instant of the series' time on a local day."""
        local = datetime.combine(day, self.clock or time(), ZoneInfo(self.zone if self.clock else "Etc/UTC"))
        return local.astimezone(UTC)

    def expected(self) -> list[datetime]:
        """The instants of its instances in the four years."""
        kept = [day for day in self.days if day not in self.cancelled and day not in self.moved]
        moments = [self.moment(day) for day in (*kept, *self.moved.values())]
        return sorted(one for one in moments if YEARS[0] <= one < YEARS[1])


def hard(number: int) -> Hard:
    """Draw a series by its number."""
    draw = random.Random(number)
    rule, zone = RULES[number % len(RULES)], ZONES[number % len(ZONES)]
    clock = None if number % 5 == 4 else CLOCKS[number % len(CLOCKS)]
    count = f";COUNT={draw.randint(3, 60)}" if number % 3 == 1 else ""
    since = datetime(2024, draw.randint(1, 12), draw.randint(1, 28))  # noqa: DTZ001 - a wall clock
    first = next(iter(rrulestr(rule, dtstart=since.replace(day=1))))
    while clock is not None and not is_real(first.date(), clock, zone):
        first = next(iter(rrulestr(rule, dtstart=first).xafter(first)))
    days = [one.date() for one in islice(rrulestr(rule + count, dtstart=first), 1700)]
    until = draw.choice(days[2:40]) + timedelta(days=draw.randint(0, 1)) if number % 3 == 2 else None
    found = Hard(rule + count, zone, clock, [one for one in days if until is None or one <= until], until)
    chosen = draw.sample(found.days[1:40], min(4, len(found.days) - 1)) if len(found.days) > 1 else []
    found.cancelled = chosen[:2]
    found.moved = {day: day + timedelta(days=1) for day in chosen[2:]}
    return found


def is_real(day: date, clock: time, zone: str) -> bool:
    """Whether a wall clock exists on a day."""
    local = datetime.combine(day, clock, ZoneInfo(zone))
    return local.astimezone(UTC).astimezone(ZoneInfo(zone)).time() == clock


def by_graph(one: Hard) -> list[datetime]:
    """The instances of the series in Graph's form, by our expansion."""
    rule = parse_rule(one.full, one.zone)
    master = {
        "id": "master", "type": "seriesMaster", **_graph_times(one, one.days[0]),
        "recurrence": recurrence_of(rule, one.days[0], one.zone),
        "cancelledOccurrences": [f"OID.master.{day}" for day in one.cancelled],
    }  # fmt: skip
    series = map_event(master, CALENDAR)
    changed = [
        map_event(
            {"id": f"moved-{day}", "type": "exception", "seriesMasterId": "master", **_graph_times(one, to),
             "originalStart": one.moment(day).strftime("%Y-%m-%dT%H:%M:%SZ")}, CALENDAR
        )
        for day, to in one.moved.items()
    ]  # fmt: skip
    return _instants(series, {day_in_series(series, each.original_start).isoformat(): each for each in changed})


def by_google(one: Hard) -> list[datetime]:
    """The instances of the series in Google's form, put together from entries in any order, by our expansion."""
    entries: list[dict[str, Any]] = [
        {"id": f"master_{day}", "status": "cancelled", "recurringEventId": "master",
         "originalStartTime": _google_time(one, day)} for day in one.cancelled[1:]
    ]  # fmt: skip
    entries += [
        {"id": f"master_{day}", "recurringEventId": "master", "originalStartTime": _google_time(one, day),
         "start": _google_time(one, to), "end": _google_time(one, to)} for day, to in one.moved.items()
    ]  # fmt: skip
    out = [f"EXDATE;TZID={one.zone}:{day:%Y%m%d}T{one.clock:%H%M%S}" if one.clock else f"EXDATE;VALUE=DATE:{day:%Y%m%d}"
           for day in one.cancelled[:1]]  # fmt: skip
    start = _google_time(one, one.days[0])
    entries.append({"id": "master", "start": start, "end": start, "recurrence": [f"RRULE:{one.full}", *out]})
    fetcher = GoogleFetcher(None, "", CALENDAR, 0, None)  # type: ignore[arg-type] - nothing is asked for
    (seen,) = asyncio.run(fetcher.whole(entries))
    assert seen.event is not None
    return _instants(seen.event, dict(seen.exceptions))


def _graph_times(one: Hard, day: date) -> dict[str, Any]:
    moment = one.moment(day)
    end = moment + (timedelta(hours=1) if one.clock else timedelta(days=1))
    zone = {"originalStartTimeZone": one.zone, "originalEndTimeZone": one.zone}
    times = {name: {"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"}
             for name, at in (("start", moment), ("end", end))}  # fmt: skip
    return {"isAllDay": one.clock is None, **times, **zone}


def _google_time(one: Hard, day: date) -> dict[str, str]:
    if one.clock is None:
        return {"date": day.isoformat()}
    return {"dateTime": one.moment(day).astimezone(ZoneInfo(one.zone)).isoformat(), "timeZone": one.zone}


def _instants(master: pb2.CalendarEvent, exceptions: dict[str, pb2.CalendarEvent]) -> list[datetime]:
    series = Series.of(master, exceptions)
    assert series is not None
    found = [slot.starts_at for slot in series.slots(*YEARS, lambda: None)]
    return [one for one in found if one >= YEARS[0]]


@pytest.mark.parametrize("begin", range(0, SERIES, 20))
def test_hard_series_have_the_same_instances_in_each_form(begin: int) -> None:
    for number in range(begin, begin + 20):
        one = hard(number)
        expected = one.expected()
        assert expected, f"series {number} has no instance"
        assert expected == by_graph(one), f"series {number}: {one}"
        assert expected == by_google(one), f"series {number}: {one}"
