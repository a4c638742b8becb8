"""Microsoft Graph's `patternedRecurrence` to rules of RFC 5545, and back. A rule that Graph cannot hold is refused.

Sources: learn.microsoft.com, "recurrencePattern" and "recurrenceRange"; for days 29 to 31 EWS's
`AbsoluteMonthlyRecurrencePatternType`: a day that a month does not have becomes its last day.
"""

from datetime import date
from typing import Any

from services.processor.calendar.mapping.fields import member, number, text, texts
from services.processor.calendar.mapping.rules import Frequency, Rule, RuleError

DAYS = {"monday": 0, "tuesday": 1, "wednesday": 2, "thursday": 3, "friday": 4, "saturday": 5, "sunday": 6}
_NAMES = {index: name for name, index in DAYS.items()}
_INDEXES = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
_PLACES = {place: name for name, place in _INDEXES.items()}
_EVERY_MONTH_HAS = 28
_MAX_INTERVAL = 99
_MAX_COUNT = 999
_FREQUENCIES: dict[str, Frequency] = {
    "daily": "DAILY",
    "weekly": "WEEKLY",
    "absolutemonthly": "MONTHLY",
    "relativemonthly": "MONTHLY",
    "absoluteyearly": "YEARLY",
    "relativeyearly": "YEARLY",
}


def rule_of(recurrence: Any) -> Rule:
    """Return the rule of a `patternedRecurrence`.

    Raises:
        RuleError: It is malformed.
    """
    pattern, span = member(recurrence, "pattern"), member(recurrence, "range")
    kind = text(pattern, "type").lower()
    if kind not in _FREQUENCIES:
        raise RuleError("pattern.type is unknown")
    frequency = _FREQUENCIES[kind]
    interval = number(pattern, "interval", 1, 1000)
    if interval is None:
        raise RuleError("pattern.interval is out of its range")
    days, month_days, positions = _days_of(kind, pattern)
    return Rule(
        frequency,
        interval,
        days,
        month_days,
        (_required(pattern, "month", 12),) if frequency == "YEARLY" else (),
        positions,
        DAYS.get(text(pattern, "firstDayOfWeek").lower(), DAYS["sunday"]) if kind == "weekly" else 0,
        *_end_of(span),
    )


def start_day(recurrence: Any) -> date | None:
    """Return `range.startDate`, from which intervals and counts count; None when it is malformed."""
    return _date(member(recurrence, "range"), "startDate")


def recurrence_zone(recurrence: Any) -> str:
    """Return the provider's name of the zone in which the rule is expanded; empty when it is not stated."""
    return text(member(recurrence, "range"), "recurrenceTimeZone")


def recurrence_of(rule: Rule, start: date, windows_zone: str = "") -> dict[str, Any]:
    """Return a rule as a `patternedRecurrence`.

    Args:
        rule: The rule.
        start: The local day of the event's start.
        windows_zone: The zone's name at Microsoft; empty leaves it to the event's start.

    Raises:
        RuleError: Graph cannot hold the rule. It is never approximated.
    """
    pattern = {"interval": rule.interval, **_PATTERNS[rule.frequency](rule, start)}
    if rule.interval > _MAX_INTERVAL:
        raise RuleError(f"Graph holds no interval above {_MAX_INTERVAL}")
    span = {"startDate": start.isoformat(), **_range_of(rule)}
    return {"pattern": pattern, "range": {**span, "recurrenceTimeZone": windows_zone} if windows_zone else span}


Selection = tuple[tuple[tuple[int, int], ...], tuple[int, ...], tuple[int, ...]]


def _days_of(kind: str, pattern: dict[str, Any]) -> Selection:
    """Return weekdays, days of the month, and positions."""
    if kind == "daily":
        return (), (), ()
    if kind.startswith("absolute"):
        return ((), *_month_day(_required(pattern, "dayOfMonth", 31)))
    days = tuple(sorted({(0, _weekday(name)) for name in texts(pattern, "daysOfWeek")}))
    if not days:
        raise RuleError("pattern.daysOfWeek is empty")
    if kind == "weekly":
        return days, (), ()
    place = _INDEXES.get(text(pattern, "index").lower() or "first")
    if place is None:
        raise RuleError("pattern.index is unknown")
    # With several days, the first one that fits: one position among all of them, not one of each weekday.
    return days, (), (place,)


def _month_day(day: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return days and positions: a day that a month does not have becomes the month's last one."""
    if day <= _EVERY_MONTH_HAS:
        return (day,), ()
    if day == 31:  # noqa: PLR2004 - the longest month
        return (-1,), ()
    return tuple(range(_EVERY_MONTH_HAS, day + 1)), (-1,)


def _end_of(span: dict[str, Any]) -> tuple[int, date | None]:
    kind = text(span, "type").lower()
    if kind == "noend":
        return 0, None
    if kind == "numbered":
        return _required(span, "numberOfOccurrences", _MAX_COUNT), None
    until = _date(span, "endDate")
    if kind != "enddate" or until is None:
        raise RuleError("range is malformed")
    return 0, until


def _required(owner: dict[str, Any], key: str, most: int) -> int:
    value = number(owner, key, 1, most)
    if value is None:
        raise RuleError(f"{key} is out of its range")
    return value


def _weekday(name: str) -> int:
    if name.lower() not in DAYS:
        raise RuleError("pattern.daysOfWeek is malformed")
    return DAYS[name.lower()]


def _date(owner: dict[str, Any], key: str) -> date | None:
    try:
        return date.fromisoformat(text(owner, key))
    except ValueError:
        return None


def _daily(rule: Rule, _start: date) -> dict[str, Any]:
    if rule.months or rule.month_days or rule.positions:
        raise RuleError("Graph holds no daily rule with months, days of the month or positions")
    if not rule.days:
        return {"type": "daily"}
    if rule.interval != 1:
        raise RuleError("Graph holds weekdays in a daily rule only with interval 1")
    return {"type": "weekly", "daysOfWeek": [_NAMES[day] for _, day in rule.days], "firstDayOfWeek": "sunday"}


def _weekly(rule: Rule, start: date) -> dict[str, Any]:
    if rule.months or rule.positions:
        raise RuleError("Graph holds no weekly rule with months or positions")
    days = [day for _, day in rule.days] or [start.weekday()]
    return {
        "type": "weekly",
        "daysOfWeek": [_NAMES[day] for day in days],
        "firstDayOfWeek": _NAMES[rule.week_start],
    }


def _monthly(rule: Rule, start: date) -> dict[str, Any]:
    if rule.months:
        raise RuleError("Graph holds no monthly rule with months")
    return _in_month(rule, start, "Monthly")


def _yearly(rule: Rule, start: date) -> dict[str, Any]:
    months = rule.months or (start.month,)
    if len(months) > 1 or (not rule.months and (rule.days or rule.month_days)):
        raise RuleError("Graph holds a yearly rule only with one month")
    return {"month": months[0], **_in_month(rule, start, "Yearly")}


def _in_month(rule: Rule, start: date, suffix: str) -> dict[str, Any]:
    if rule.days and not rule.month_days:
        return {"type": f"relative{suffix}", **_relative(rule)}
    if rule.days:
        raise RuleError("Graph holds no rule with weekdays and days of the month")
    return {"type": f"absolute{suffix}", "dayOfMonth": _day_of_month(rule, start)}


def _day_of_month(rule: Rule, start: date) -> int:
    days = rule.month_days or (start.day,)
    for day in range(1, 32):
        if (rule.month_days, rule.positions) == _month_day(day):
            return day
    if rule.positions or len(days) != 1 or not 1 <= days[0] <= _EVERY_MONTH_HAS:
        raise RuleError("Graph holds one day of the month, and moves days 29 to 31 to the end of shorter months")
    return days[0]


def _relative(rule: Rule) -> dict[str, Any]:
    places, positions = {place for place, _ in rule.days}, rule.positions
    if len(rule.days) == 1 and not positions and places <= _PLACES.keys():
        positions = tuple(places)
    elif places != {0} or len(positions) != 1 or positions[0] not in _PLACES:
        raise RuleError("Graph holds one position, first to fourth or last, for all weekdays together")
    return {"daysOfWeek": [_NAMES[day] for _, day in rule.days], "index": _PLACES[positions[0]]}


def _range_of(rule: Rule) -> dict[str, Any]:
    if rule.count > _MAX_COUNT:
        raise RuleError(f"Graph holds no more than {_MAX_COUNT} instances")
    if rule.count:
        return {"type": "numbered", "numberOfOccurrences": rule.count}
    return {"type": "endDate", "endDate": rule.until.isoformat()} if rule.until else {"type": "noEnd"}


_PATTERNS = {"DAILY": _daily, "WEEKLY": _weekly, "MONTHLY": _monthly, "YEARLY": _yearly}
