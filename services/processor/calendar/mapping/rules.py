"""Recurrence rules of RFC 5545: a checked form of `RRULE`, for rules in steps of days or longer."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Final, Literal, TypeVar, cast, get_args

from services.processor.calendar.mapping.zones import zone_info

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""The weekdays in the order of `date.weekday()`."""
_PARTS: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST"})
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z)?)?")
_LONGEST_RULE = 1000
_MAX_INTERVAL = 1000
_MAX_COUNT = 100_000
_MAX_VALUES = 366
Value = TypeVar("Value")


class RuleError(ValueError):
    """The rule is malformed, or this version does not expand it. The message names the part."""


@dataclass(frozen=True)
class Rule:
    """A rule that can be expanded. Empty fields do not restrict.

    Args:
        frequency: The unit.
        interval: The number of units between two periods with instances, from 1 on.
        days: Weekdays 0 (Monday) to 6, each after its number in the month or year: 0 for each, -1 for the last.
        month_days: 1 to 31, and -1 to -31 from the end.
        months: 1 to 12.
        positions: The places in each period's sorted days that count: from 1, or from -1 at the end.
        week_start: The first day of the week.
        count: The number of instances; 0 for no such bound.
        until: The last local day; None for no such bound.
    """

    frequency: Frequency
    interval: int = 1
    days: tuple[tuple[int, int], ...] = ()
    month_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0
    count: int = 0
    until: date | None = None

    def text(self, iana_zone: str = "") -> str:
        """Return the rule as RFC 5545 writes it, without "RRULE:".

        Args:
            iana_zone: The zone of a timed series: UNTIL is the end of the last local day, in UTC. Empty for an all-day
                series, whose UNTIL is a DATE.
        """
        parts = {
            "FREQ": self.frequency,
            "INTERVAL": str(self.interval) if self.interval > 1 else "",
            "BYMONTH": ",".join(map(str, self.months)),
            "BYMONTHDAY": ",".join(map(str, self.month_days)),
            "BYDAY": ",".join(f"{place or ''}{WEEKDAYS[day]}" for place, day in self.days),
            "BYSETPOS": ",".join(map(str, self.positions)),
            # Written always: the provider's default is Sunday, RFC 5545's is Monday.
            "WKST": WEEKDAYS[self.week_start] if self.frequency == "WEEKLY" else "",
            "COUNT": str(self.count) if self.count else "",
            "UNTIL": _until_text(self.until, iana_zone) if self.until else "",
        }
        return ";".join(f"{name}={value}" for name, value in parts.items() if value)


@lru_cache(maxsize=4096)
def parse_rule(text: str, iana_zone: str) -> Rule:
    """Return the rule of an `RRULE` line.

    Args:
        text: The line, with or without "RRULE:".
        iana_zone: The zone in which an UNTIL in UTC becomes a local day.

    Raises:
        RuleError: The rule is malformed, finer than a day, or has a part that this version does not expand.
    """
    parts = _parts(text)
    frequency = parts.get("FREQ", "")
    if frequency not in get_args(Frequency):
        raise RuleError(f"FREQ={frequency[:20]} is not expanded")
    if "COUNT" in parts and "UNTIL" in parts:
        raise RuleError("COUNT and UNTIL exclude each other")
    rule = Rule(
        cast("Frequency", frequency),
        _numbers(parts, "INTERVAL", 1, _MAX_INTERVAL, default=(1,))[0],
        _values(parts, "BYDAY", _weekday),
        _signed(parts, "BYMONTHDAY", 31),
        _numbers(parts, "BYMONTH", 1, 12),
        _signed(parts, "BYSETPOS", 366),
        _weekday_index(parts.get("WKST", "MO")),
        _numbers(parts, "COUNT", 1, _MAX_COUNT, default=(0,))[0],
        _until(parts["UNTIL"], iana_zone) if "UNTIL" in parts else None,
    )
    _check_combination(rule)
    return rule


def _parts(text: str) -> dict[str, str]:
    line = text.strip().upper().removeprefix("RRULE:")
    if len(line) > _LONGEST_RULE:
        raise RuleError("the rule is too long")
    pairs = [part.partition("=")[::2] for part in line.split(";") if part]
    parts = dict(pairs)
    if len(parts) != len(pairs):
        raise RuleError("a part comes twice")
    if unknown := sorted(parts.keys() - _PARTS):
        raise RuleError(f"{unknown[0][:20]} is not expanded")
    return parts


def _values(parts: dict[str, str], name: str, read: Callable[[str], Value]) -> tuple[Value, ...]:
    values = parts[name].split(",") if name in parts else []
    if len(values) > _MAX_VALUES:
        raise RuleError(f"{name} has too many values")
    return tuple(dict.fromkeys(map(read, values)))


def _numbers(parts: dict[str, str], name: str, least: int, most: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    def read(value: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,6}", value) or not least <= int(value) <= most:
            raise RuleError(f"{name} is out of its range")
        return int(value)

    return _values(parts, name, read) or default


def _signed(parts: dict[str, str], name: str, most: int) -> tuple[int, ...]:
    values = _numbers(parts, name, -most, most)
    if 0 in values:
        raise RuleError(f"{name} is out of its range")
    return values


def _weekday(value: str) -> tuple[int, int]:
    match = _DAY.fullmatch(value)
    if match is None or (match[1] and not int(match[1])):
        raise RuleError("BYDAY is malformed")
    return int(match[1] or 0), WEEKDAYS.index(match[2])


def _weekday_index(value: str) -> int:
    if value not in WEEKDAYS:
        raise RuleError("WKST is malformed")
    return WEEKDAYS.index(value)


def _until(value: str, iana_zone: str) -> date:
    match = _UNTIL.fullmatch(value)
    if match is None:
        raise RuleError("UNTIL is malformed")
    try:
        moment = datetime.strptime(match[1] + (match[2] or "000000"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return moment.astimezone(zone_info(iana_zone)).date() if match[3] else moment.date()
    except (ValueError, OverflowError) as exc:
        raise RuleError("UNTIL is malformed") from exc


def _until_text(until: date, iana_zone: str) -> str:
    if not iana_zone:
        return f"{until:%Y%m%d}"
    try:
        end = datetime.combine(until, time(23, 59, 59), zone_info(iana_zone)).astimezone(UTC)
    except OverflowError:  # the last day of time
        return f"{until:%Y%m%d}T235959Z"
    return f"{end:%Y%m%dT%H%M%SZ}"


def _check_combination(rule: Rule) -> None:
    """Refuse the combinations that RFC 5545 (section 3.3.10) forbids."""
    has_places = any(place for place, _ in rule.days)
    if has_places and rule.frequency in ("DAILY", "WEEKLY"):
        raise RuleError("BYDAY has numbers in a rule of days or weeks")
    if rule.month_days and rule.frequency == "WEEKLY":
        raise RuleError("BYMONTHDAY in a rule of weeks")
    if rule.positions and not (rule.days or rule.month_days or rule.months):
        raise RuleError("BYSETPOS needs another BY part")
