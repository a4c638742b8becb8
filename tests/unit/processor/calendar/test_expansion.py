"""Rules expand to the same days as an independent implementation gives, and none can hang."""

import time
from datetime import date, datetime
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.processor.calendar.mapping.expansion import expand
from services.processor.calendar.mapping.rules import RuleError, parse_rule

END = date(2031, 1, 1)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def days(text: str, start: date, begin: date | None = None, end: date = END) -> list[date]:
    return list(expand(parse_rule(text, "Etc/UTC"), start, begin or start, end))


def by_dateutil(text: str, start: date, end: date) -> list[date]:
    moment = datetime(start.year, start.month, start.day)  # noqa: DTZ001 - a wall clock
    found = []
    for each in islice(rrulestr(text, dtstart=moment), 3000):
        if each.date() >= end:
            break
        found.append(each.date())
    return found


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Draw a rule that has instances in most years."""
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 3))}"]
    day = st.sampled_from(WEEKDAYS)
    # Numbered weekdays beside plain ones are left out: dateutil takes their intersection, RFC 5545 their union.
    if frequency in ("MONTHLY", "YEARLY") and draw(st.booleans()):
        day = st.builds(lambda place, name: f"{place}{name}", st.sampled_from(["1", "2", "-1"]), day)
    has_days = draw(st.booleans())
    if has_days:
        parts.append("BYDAY=" + ",".join(draw(st.lists(day, min_size=1, max_size=3, unique=True))))
    elif frequency in ("MONTHLY", "YEARLY") and draw(st.booleans()):
        month_days = st.lists(st.sampled_from([1, 2, 15, 28, -1, -2, -28]), min_size=1, max_size=3, unique=True)
        parts.append("BYMONTHDAY=" + ",".join(map(str, draw(month_days))))
        has_days = True
    # In steps of one, since months that the interval skips would let dateutil search until the year 9999.
    if parts[1] == "INTERVAL=1" and draw(st.booleans()):
        months = st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True)
        parts.append("BYMONTH=" + ",".join(map(str, sorted(draw(months)))))
    if has_days and frequency in ("MONTHLY", "YEARLY") and draw(st.booleans()):
        parts.append("BYSETPOS=" + draw(st.sampled_from(["1", "-1", "1,-1", "2"])))
    if frequency == "WEEKLY":
        parts.append("WKST=" + draw(st.sampled_from(WEEKDAYS)))
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 60))}")
    return ";".join(parts)


@settings(max_examples=120, deadline=None, phases=[Phase.generate])
@given(rules(), st.dates(date(2023, 1, 1), date(2026, 12, 31)), st.integers(0, 1000))
def test_random_rules_give_the_days_of_another_implementation(text: str, start: date, later: int) -> None:
    expected = by_dateutil(text, start, END)
    begin = date.fromordinal(start.toordinal() + later)
    assert expected == days(text, start)
    assert [day for day in expected if day >= begin] == days(text, start, begin)


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
        "FREQ=YEARLY;INTERVAL=999;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
    ],
)
def test_a_rule_without_instances_ends_soon(text: str) -> None:
    begun = time.process_time()
    assert [] == days(text, date(1900, 1, 1), end=date(2500, 1, 1))
    assert time.process_time() - begun < 20


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=SECONDLY;BYSECOND=61",
        "FREQ=HOURLY",
        "FREQ=MINUTELY;BYHOUR=25",
        "FREQ=YEARLY;BYWEEKNO=20",
        "FREQ=YEARLY;BYYEARDAY=100",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=WEEKLY;BYMONTHDAY=3",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101",
        "FREQ=DAILY;COUNT=99999999",
        "FREQ=DAILY;UNTIL=20261399",
        "FREQ=DAILY;FREQ=WEEKLY",
        "FREQ=DAILY;BYMONTH=" + ",".join(["1"] * 400),
        "X" * 5000,
        "",
    ],
)
def test_a_rule_that_could_hang_or_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        parse_rule(text, "Etc/UTC")


def test_plain_and_numbered_weekdays_are_a_union() -> None:
    found = days("FREQ=MONTHLY;BYDAY=1MO,WE", date(2026, 6, 1), end=date(2026, 6, 12))
    assert [date(2026, 6, 1), date(2026, 6, 3), date(2026, 6, 10)] == found


def test_week_start_matters_at_an_interval_of_two() -> None:
    sunday = date(2026, 3, 1)
    text = "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;WKST={};COUNT=4"
    assert [sunday, date(2026, 3, 2), date(2026, 3, 15), date(2026, 3, 16)] == days(text.format("SU"), sunday)
    assert [sunday, date(2026, 3, 9), date(2026, 3, 15), date(2026, 3, 23)] == days(text.format("MO"), sunday)


def test_until_in_utc_is_a_local_day() -> None:
    rule = parse_rule("FREQ=DAILY;UNTIL=20260310T035959Z", "America/New_York")
    assert date(2026, 3, 9) == rule.until
    assert "FREQ=DAILY;UNTIL=20260310T035959Z" == rule.text("America/New_York")
    assert "FREQ=DAILY;UNTIL=20260309" == rule.text()


def test_a_first_day_beside_the_rule_counts_only_where_it_is_asked_for() -> None:
    rule, sunday = parse_rule("FREQ=WEEKLY;BYDAY=MO;COUNT=2", "Etc/UTC"), date(2026, 3, 1)
    assert [date(2026, 3, 2), date(2026, 3, 9)] == list(expand(rule, sunday, sunday, END))
    assert [sunday, date(2026, 3, 2)] == list(expand(rule, sunday, sunday, END, includes_start=True))
