"""The occurrences of a series of Graph, day by day by its pattern, without rules of RFC 5545.

Sources: learn.microsoft.com, "recurrencePattern" and "recurrenceRange"; EWS's `AbsoluteMonthlyRecurrencePatternType`: a
day that a month does not have is its last day.
"""

import base64
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

from simulator.mailboxes.calendar_events import JSON, Calendar, CalendarEvent
from simulator.mailboxes.mailbox import MailboxError

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_INDEXES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "last": -1}
_PREFIX = "AAMkAGOc"


@dataclass(frozen=True)
class Occurrence:
    """One occurrence as the series has it.

    Args:
        id: Graph's id, which an exception keeps.
        day: The local day.
        start: The start, a wall clock in UTC.
        end: The end, a wall clock in UTC.
    """

    id: str
    day: date
    start: datetime
    end: datetime


def instances(calendar: Calendar, master: CalendarEvent, begin: datetime, end: datetime) -> list[CalendarEvent]:
    """Return the instances of a series that overlap a window of wall clocks in UTC, by start; exceptions too.

    A whole day overlaps it from its midnight in the event's zone on, although it is shown at midnight in UTC.
    """
    found = [one for one in calendar.events.values() if one.master == master.id]
    away = {*master.cancelled, *(one.original[0] for one in found)}
    found += [
        _as_event(master, one)
        for one in occurrences(master, end + timedelta(days=1))
        if one.day.isoformat() not in away
    ]
    kept = [one for one in found if _stored(one, "start") < end and _stored(one, "end") > begin]
    return sorted(kept, key=lambda one: str(one.fields["start"]))


def occurrences(master: CalendarEvent, until: datetime) -> Iterator[Occurrence]:
    """Yield the occurrences of a series that begin before a wall clock in UTC, the deleted and changed ones too."""
    span, pattern = master.fields["recurrence"]["range"], master.fields["recurrence"]["pattern"]
    zone = _zone(master, span)
    begins, ends = (_local(master.fields[name], zone) for name in ("start", "end"))
    day, last = date.fromisoformat(span["startDate"]), (until + timedelta(days=2)).date()
    if span["type"] == "endDate":
        last = min(last, date.fromisoformat(span["endDate"]))
    left = span["numberOfOccurrences"] if span["type"] == "numbered" else -1
    belongs, first = _PATTERNS[pattern["type"]], day
    while day <= last and left:
        if belongs(pattern, first, day):
            left -= 1
            start = datetime.combine(day, begins.time())
            found = [_utc(one, zone) for one in (start, start + (ends - begins))]
            if found[0] < until:
                yield Occurrence(occurrence_id(master, day), day, *found)
        day += timedelta(days=1)


def occurrence_of(master: CalendarEvent, day: date) -> CalendarEvent:
    """Return the unchanged occurrence of a local day.

    Raises:
        MailboxError: The series has none on this day, or a deleted one.
    """
    until = datetime.combine(day, datetime.min.time()) + timedelta(days=3)
    found = [one for one in occurrences(master, until) if one.day == day]
    if not found or day.isoformat() in master.cancelled:
        raise MailboxError("not_found", f"no occurrence on {day}")
    return _as_event(master, found[0])


def occurrence_id(master: CalendarEvent, day: date) -> str:
    """Return the id of the occurrence of a day: it comes from the series and the date."""
    return _PREFIX + base64.urlsafe_b64encode(f"{master.id}|{day}".encode()).decode()


def named(event_id: str) -> tuple[str, date] | None:
    """Return the id of the series and the day of an occurrence's id; None for another id."""
    if not event_id.startswith(_PREFIX):
        return None
    try:
        master, _, day = base64.urlsafe_b64decode(event_id.removeprefix(_PREFIX)).decode().partition("|")
        return master, date.fromisoformat(day)
    except ValueError:
        return None


def _as_event(master: CalendarEvent, one: Occurrence) -> CalendarEvent:
    times = {"start": one.start.isoformat(), "end": one.end.isoformat(), "recurrence": None}
    return replace(
        master, id=one.id, fields={**master.fields, **times}, master=master.id, cancelled=[], transaction="",
        original=(one.day.isoformat(), f"{one.start:%Y-%m-%dT%H:%M:%SZ}"), properties=[], is_changed=False,
    )  # fmt: skip


def _stored(event: CalendarEvent, name: str) -> datetime:
    """Return a time of an event as it is stored: a wall clock in UTC."""
    clock = datetime.fromisoformat(event.fields[name])
    zone = str(event.fields["originalStartTimeZone"])
    return _utc(clock, ZoneInfo(win_tz.get(zone, zone))) if event.fields["isAllDay"] else clock


def _zone(master: CalendarEvent, span: JSON) -> ZoneInfo:
    """Return the zone of the pattern; whole days are those of UTC."""
    if master.fields["isAllDay"]:
        return ZoneInfo("UTC")
    name = str(span.get("recurrenceTimeZone") or master.fields["originalStartTimeZone"])
    return ZoneInfo(win_tz.get(name, name))


def _local(clock: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(clock).replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)


def _utc(clock: datetime, zone: ZoneInfo) -> datetime:
    return clock.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def _daily(pattern: JSON, first: date, day: date) -> bool:
    return not (day - first).days % pattern["interval"]


def _weekly(pattern: JSON, first: date, day: date) -> bool:
    begins = _DAYS.index(pattern.get("firstDayOfWeek", "sunday"))
    weeks = (_week(day, begins) - _week(first, begins)).days // 7
    return not weeks % pattern["interval"] and _DAYS[day.weekday()] in pattern["daysOfWeek"]


def _week(day: date, begins: int) -> date:
    return day - timedelta(days=(day.weekday() - begins) % 7)


def _absolute_monthly(pattern: JSON, first: date, day: date) -> bool:
    return _is_month(pattern, first, day) and _is_day_of_month(pattern, day)


def _relative_monthly(pattern: JSON, first: date, day: date) -> bool:
    return _is_month(pattern, first, day) and _is_in_place(pattern, day)


def _absolute_yearly(pattern: JSON, first: date, day: date) -> bool:
    return _is_year(pattern, first, day) and _is_day_of_month(pattern, day)


def _relative_yearly(pattern: JSON, first: date, day: date) -> bool:
    return _is_year(pattern, first, day) and _is_in_place(pattern, day)


def _is_month(pattern: JSON, first: date, day: date) -> bool:
    return not ((day.year - first.year) * 12 + day.month - first.month) % pattern["interval"]


def _is_year(pattern: JSON, first: date, day: date) -> bool:
    return day.month == pattern["month"] and not (day.year - first.year) % pattern["interval"]


def _is_day_of_month(pattern: JSON, day: date) -> bool:
    return day.day == min(int(pattern["dayOfMonth"]), monthrange(day.year, day.month)[1])


def _is_in_place(pattern: JSON, day: date) -> bool:
    """Return whether a day is the one at the pattern's place among the days of its month that fit."""
    every = (day.replace(day=number + 1) for number in range(monthrange(day.year, day.month)[1]))
    fitting = [one for one in every if _DAYS[one.weekday()] in pattern["daysOfWeek"]]
    place = _INDEXES[pattern.get("index", "first")]
    return place < len(fitting) and day == fitting[place]


_PATTERNS: dict[str, Callable[[JSON, date, date], bool]] = {
    "daily": _daily,
    "weekly": _weekly,
    "absoluteMonthly": _absolute_monthly,
    "relativeMonthly": _relative_monthly,
    "absoluteYearly": _absolute_yearly,
    "relativeYearly": _relative_yearly,
}
