"""Expand recurrence rules into local days.

The arithmetic is our own, because the libraries' generators run for seconds or for ever on rules without instances
(INTERVAL=0, 31 February, a fifth position among four days), and an iterator that yields nothing cannot be stopped by a
bound on its results. Here the bound is the number of periods examined, so that no rule can hang. A test compares the
results with python-dateutil's over rules at random.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import count

from services.processor.calendar.mapping.rules import Rule

MAX_PERIODS = 150_000
"""The largest number of periods that one expansion examines: 400 years of days."""
_MONTHS = 12
_LAST_YEAR = 9999


def _free() -> None:
    """Count no step."""


def expand(
    rule: Rule, start: date, begin: date, end: date, *, includes_start: bool = False, spend: Callable[[], None] = _free
) -> Iterator[date]:
    """Yield the local days of a rule's instances in a window, in order.

    Args:
        rule: The rule.
        start: The series' first day, from which intervals and `COUNT` count.
        begin: The first day of the window.
        end: The day after the window.
        includes_start: Whether the first day is an instance even where the rule skips it, as RFC 5545 has it. Microsoft
            skips it.
        spend: Called for each period that is examined; it ends the expansion by raising.
    """
    # The last day of time has no day after it.
    last = end if rule.until is None or rule.until >= end else rule.until + timedelta(days=1)
    days = _all(rule, start, begin, last, includes_start=includes_start, spend=spend)
    for seen, day in enumerate(days, start=1):
        if day >= begin:
            yield day
        if rule.count and seen >= rule.count:
            return


def _all(
    rule: Rule, start: date, begin: date, last: date, *, includes_start: bool, spend: Callable[[], None]
) -> Iterator[date]:
    """Yield the days from the start to the window's end; without `COUNT`, those long before the window are skipped."""
    if includes_start and start < last:
        yield start
    period = _PERIODS[rule.frequency]
    first = 0 if rule.count else _periods_before(rule, start, begin)
    for number in count(first):
        spend()
        found = period(rule, start, number * rule.interval) if number - first < MAX_PERIODS else None
        if found is None or found[0] >= last:
            return
        for day in _selected(rule, found[1]):
            if day >= last:
                return
            if day > start or (day == start and not includes_start):
                yield day


def _periods_before(rule: Rule, start: date, begin: date) -> int:
    """Return a number of periods that surely end before the window."""
    days = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "YEARLY": 366}[rule.frequency] * rule.interval
    return max(0, (begin - start).days // days - 2)


def _selected(rule: Rule, days: list[date]) -> list[date]:
    if not rule.positions:
        return days
    places = {place - 1 if place > 0 else len(days) + place for place in rule.positions}
    return [day for at, day in enumerate(days) if at in places]


def _daily(rule: Rule, start: date, offset: int) -> tuple[date, list[date]] | None:
    day = _shifted(start, offset)
    if day is None:
        return None
    return day, [day] if _fits(rule, day) else []


def _weekly(rule: Rule, start: date, offset: int) -> tuple[date, list[date]] | None:
    monday = _shifted(start, 7 * offset - (start.weekday() - rule.week_start) % 7)
    if monday is None or _shifted(monday, 6) is None:
        return None
    wanted = {day for _, day in rule.days} or {start.weekday()}
    days = [monday + timedelta(days=n) for n in sorted((day - rule.week_start) % 7 for day in wanted)]
    return monday, [day for day in days if not rule.months or day.month in rule.months]


def _monthly(rule: Rule, start: date, offset: int) -> tuple[date, list[date]] | None:
    year, month = divmod(start.year * _MONTHS + start.month - 1 + offset, _MONTHS)
    if year > _LAST_YEAR:
        return None
    first = date(year, month + 1, 1)
    is_wanted = not rule.months or first.month in rule.months
    return first, _of_month(rule, start, first) if is_wanted else []


def _yearly(rule: Rule, start: date, offset: int) -> tuple[date, list[date]] | None:
    year = start.year + offset
    if year > _LAST_YEAR:
        return None
    first = date(year, 1, 1)
    if rule.days and not rule.months and not rule.month_days:
        return first, _weekdays(rule, [first + timedelta(days=n) for n in range((date(year, 12, 31) - first).days + 1)])
    every = range(1, _MONTHS + 1) if rule.month_days else (start.month,)
    months = sorted(rule.months) or every
    return first, [day for month in months for day in _of_month(rule, start, date(year, month, 1))]


def _of_month(rule: Rule, start: date, first: date) -> list[date]:
    days = [first.replace(day=n) for n in range(1, monthrange(first.year, first.month)[1] + 1)]
    if not rule.days and not rule.month_days:
        return [day for day in days if day.day == start.day]
    if rule.month_days:
        days = [day for day in days if _is_month_day(rule, day)]
    return _weekdays(rule, days, [first.replace(day=n) for n in range(1, monthrange(first.year, first.month)[1] + 1)])


def _weekdays(rule: Rule, days: list[date], whole: list[date] | None = None) -> list[date]:
    """Return the days that `BYDAY` selects; its numbers count in the whole month or year."""
    if not rule.days:
        return days
    chosen = set()
    for place, weekday in rule.days:
        same = [day for day in (whole or days) if day.weekday() == weekday]
        if not place:
            chosen.update(same)
        elif -len(same) <= place <= len(same):
            chosen.add(same[place - 1 if place > 0 else place])
    return [day for day in days if day in chosen]


def _fits(rule: Rule, day: date) -> bool:
    return (
        (not rule.months or day.month in rule.months)
        and (not rule.month_days or _is_month_day(rule, day))
        and (not rule.days or day.weekday() in {weekday for _, weekday in rule.days})
    )


def _is_month_day(rule: Rule, day: date) -> bool:
    length = monthrange(day.year, day.month)[1]
    return day.day in rule.month_days or day.day - length - 1 in rule.month_days


def _shifted(day: date, days: int) -> date | None:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None


_PERIODS: dict[str, Callable[[Rule, date, int], tuple[date, list[date]] | None]] = {
    "DAILY": _daily,
    "WEEKLY": _weekly,
    "MONTHLY": _monthly,
    "YEARLY": _yearly,
}
