"""Google's `recurrence`, the lines of RFC 5545, to a rule that can be expanded and to the days that it leaves out."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.mapping.rules import Rule, RuleError, parse_rule
from services.processor.calendar.mapping.times import local_clock
from services.processor.calendar.mapping.zones import UTC_ZONE, Zone, resolve, zone_info

_UNTIL = re.compile(r"UNTIL=(\d{8}T\d{6})(Z?)", re.IGNORECASE)
_DATE = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?")
_MAX_DATES = 5000


def rule_of(lines: Sequence[str], start: pb2.EventTime, iana_zone: str) -> Rule:
    """Return the rule of a series.

    Args:
        lines: The lines.
        start: The series' start.
        iana_zone: The zone in which the rule is expanded; empty for an all-day series.

    Raises:
        RuleError: The lines have not exactly one rule, have dates or rules beside it, or the rule is not expanded.
    """
    named = [(_name(line), line) for line in lines]
    rules = [line for name, line in named if name == "RRULE"]
    if len(rules) != 1 or any(name not in ("RRULE", "EXDATE") for name, _ in named):
        raise RuleError("only one RRULE with EXDATE is expanded")
    rule = parse_rule(rules[0], iana_zone or UTC_ZONE)
    if rule.until is not None and _ends_before(rules[0], start, iana_zone):
        return replace(rule, until=rule.until - timedelta(days=1))
    return rule


def left_out(lines: Sequence[str], iana_zone: str) -> set[str]:
    """Return the local days of the instances that `EXDATE` lines leave out. Malformed dates are skipped.

    Args:
        lines: The lines.
        iana_zone: The zone in which the rule is expanded; empty for an all-day series.
    """
    found: set[str] = set()
    for line in lines:
        if _name(line) == "EXDATE":
            found.update(day.isoformat() for day in _days(line, iana_zone))
    return set(sorted(found)[-_MAX_DATES:])


def _ends_before(line: str, start: pb2.EventTime, iana_zone: str) -> bool:
    """Return whether UNTIL ends before the series' time of day, so that its own day has no instance."""
    match = _UNTIL.search(line)
    if match is None or start.date:
        return False
    until = datetime.strptime(match[1], "%Y%m%dT%H%M%S")  # noqa: DTZ007 - a wall clock, in UTC where Z says so
    if match[2]:
        until = _local(until.replace(tzinfo=UTC), iana_zone)
    return until.time() < local_clock(start).time()


def _days(line: str, iana_zone: str) -> Iterator[date]:
    head, _, values = line.partition(":")
    stated = next((part[5:] for part in head.split(";") if part.upper().startswith("TZID=")), "")
    for value in values.split(",")[:_MAX_DATES]:
        match = _DATE.fullmatch(value.strip().upper())
        try:
            yield from [] if match is None else [_day(match, stated, iana_zone)]
        except (ValueError, OverflowError):
            continue


def _day(match: re.Match[str], stated: str, iana_zone: str) -> date:
    moment = datetime.strptime(match[1] + (match[2] or "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - as above
    zone = Zone(UTC_ZONE) if match[3] else resolve(stated)
    if not match[2] or not iana_zone or zone is None:
        return moment.date()
    return _local(moment.replace(tzinfo=zone_info(zone.iana)), iana_zone).date()


def _local(moment: datetime, iana_zone: str) -> datetime:
    return moment.astimezone(zone_info(iana_zone or UTC_ZONE)).replace(tzinfo=None)


def _name(line: str) -> str:
    return re.split("[;:]", line.strip().upper(), maxsplit=1)[0]
