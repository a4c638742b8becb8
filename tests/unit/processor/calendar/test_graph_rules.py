"""Graph's recurrences become rules of RFC 5545 and come back; what Graph cannot hold is refused."""

from datetime import date
from typing import Any

import pytest

from services.processor.calendar.mapping.expansion import expand
from services.processor.calendar.mapping.graph_rules import recurrence_of, rule_of
from services.processor.calendar.mapping.rules import RuleError, parse_rule

START = date(2026, 1, 31)
NO_END = {"type": "noEnd", "startDate": "2026-01-31"}
CASES = [
    ({"type": "daily", "interval": 3}, "FREQ=DAILY;INTERVAL=3"),
    (
        {"type": "weekly", "interval": 2, "daysOfWeek": ["monday", "friday"], "firstDayOfWeek": "sunday"},
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;WKST=SU",
    ),
    ({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 15}, "FREQ=MONTHLY;BYMONTHDAY=15"),
    ({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31}, "FREQ=MONTHLY;BYMONTHDAY=-1"),
    ({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 30}, "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1"),
    (
        {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["thursday", "friday"], "index": "second"},
        "FREQ=MONTHLY;BYDAY=TH,FR;BYSETPOS=2",
    ),
    (
        {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["monday"], "index": "last"},
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-1",
    ),
    ({"type": "absoluteYearly", "interval": 1, "dayOfMonth": 29, "month": 2},
     "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1"),
    (
        {"type": "relativeYearly", "interval": 1, "daysOfWeek": ["sunday"], "index": "first", "month": 11},
        "FREQ=YEARLY;BYMONTH=11;BYDAY=SU;BYSETPOS=1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "text"), CASES)
def test_a_pattern_becomes_a_rule_and_comes_back(pattern: dict[str, Any], text: str) -> None:
    rule = rule_of({"pattern": pattern, "range": NO_END})
    assert text == rule.text("Etc/UTC")
    assert rule == parse_rule(text, "Etc/UTC")
    assert {"pattern": pattern, "range": NO_END} == recurrence_of(rule, START)


def test_ranges_become_count_and_until_and_come_back() -> None:
    pattern = {"type": "daily", "interval": 1}
    numbered = {"type": "numbered", "startDate": "2026-01-31", "numberOfOccurrences": 5}
    ending = {"type": "endDate", "startDate": "2026-01-31", "endDate": "2026-12-31"}
    for span, text in ((numbered, "FREQ=DAILY;COUNT=5"), (ending, "FREQ=DAILY;UNTIL=20270101T045959Z")):
        rule = rule_of({"pattern": pattern, "range": span})
        assert text == rule.text("America/New_York")
        assert {"pattern": pattern, "range": span} == recurrence_of(rule, START)


def test_day_31_is_the_end_of_shorter_months() -> None:
    rule = rule_of({"pattern": {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31}, "range": NO_END})
    found = list(expand(rule, START, START, date(2026, 6, 1)))
    assert ["01-31", "02-28", "03-31", "04-30", "05-31"] == [f"{day:%m-%d}" for day in found]


def test_two_days_of_a_relative_month_give_the_first_that_fits() -> None:
    pattern = {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["thursday", "friday"], "index": "first"}
    rule = rule_of({"pattern": pattern, "range": NO_END})
    found = list(expand(rule, date(2026, 5, 1), date(2026, 5, 1), date(2026, 8, 1)))
    # May 2026 begins with a Friday: that day alone is the first Thursday or Friday.
    assert [date(2026, 5, 1), date(2026, 6, 4), date(2026, 7, 2)] == found


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=MONTHLY;BYMONTHDAY=1,15",
        "FREQ=MONTHLY;BYMONTHDAY=-2",
        "FREQ=MONTHLY;BYMONTHDAY=29",
        "FREQ=MONTHLY;BYDAY=1MO,3MO",
        "FREQ=MONTHLY;BYDAY=5MO",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1,2",
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
        "FREQ=MONTHLY;BYMONTH=3;BYMONTHDAY=1",
        "FREQ=DAILY;INTERVAL=2;BYDAY=MO,TU",
        "FREQ=DAILY;BYMONTH=1",
        "FREQ=WEEKLY;BYMONTH=1;BYDAY=MO",
        "FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=1",
        "FREQ=YEARLY;BYDAY=1MO",
        "FREQ=DAILY;INTERVAL=100",
        "FREQ=DAILY;COUNT=1000",
    ],
)
def test_a_rule_that_graph_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        recurrence_of(parse_rule(text, "Etc/UTC"), date(2026, 1, 31))


def test_weekdays_in_a_daily_rule_become_a_weekly_one() -> None:
    pattern = recurrence_of(parse_rule("FREQ=DAILY;BYDAY=MO,TU", "Etc/UTC"), START)["pattern"]
    assert ("weekly", ["monday", "tuesday"]) == (pattern["type"], pattern["daysOfWeek"])


@pytest.mark.parametrize(
    "recurrence",
    [
        None,
        [],
        {"pattern": {"type": "hourly", "interval": 1}, "range": NO_END},
        {"pattern": {"type": "daily", "interval": 0}, "range": NO_END},
        {"pattern": {"type": "daily", "interval": True}, "range": NO_END},
        {"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": []}, "range": NO_END},
        {"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["funday"]}, "range": NO_END},
        {"pattern": {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 32}, "range": NO_END},
        {"pattern": {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["monday"], "index": "fifth"},
         "range": NO_END},
        {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "endDate", "endDate": "soon"}},
        {"pattern": {"type": "daily", "interval": 1}, "range": {}},
    ],
)  # fmt: skip
def test_a_malformed_recurrence_is_refused(recurrence: Any) -> None:
    with pytest.raises(RuleError):
        rule_of(recurrence)
