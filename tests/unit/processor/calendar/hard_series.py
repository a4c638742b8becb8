"""200 hard series of four years, drawn by their numbers.

The zones pass changes of their clocks in both directions, one by half an hour; days 29 to 31, several weekdays with one
position, last weekdays, weeks that begin on Sunday, times that a change of clocks leaves out, whole days, ends by count
and by day, cancelled and moved instances.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

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
    "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=MONTHLY;INTERVAL=3;BYDAY=2MO", "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
)  # fmt: skip


_STAMP = "%Y%m%dT%H%M%S"


@dataclass
class Hard:
    """One series.

    Attributes:
        rule: Its rule, without the end by a day.
        zone: The IANA zone of its wall clock.
        clock: The wall clock; None for whole days.
        days: The local days that it has by its rule.
        until: The last local day; None for no such end.
        cancelled: The local days of cancelled instances.
        moved: The instants to which instances moved, by their local days; of whole days midnight in UTC.
    """

    rule: str
    zone: str
    clock: time | None
    days: list[date]
    until: date | None = None
    cancelled: list[date] = field(default_factory=list)
    moved: dict[date, datetime] = field(default_factory=dict)

    @property
    def full(self) -> str:
        """The rule with its end, as RFC 5545 writes it."""
        if self.until is None:
            return self.rule
        if self.clock is None:
            return f"{self.rule};UNTIL={self.until:%Y%m%d}"
        end = datetime.combine(self.until, time(23, 59, 59), ZoneInfo(self.zone)).astimezone(UTC)
        return f"{self.rule};UNTIL={end:{_STAMP}}Z"

    def moment(self, day: date) -> datetime:
        """The instant of the series' time on a local day."""
        local = datetime.combine(day, self.clock or time(), ZoneInfo(self.zone if self.clock else "Etc/UTC"))
        return local.astimezone(UTC)

    def expected(self) -> list[datetime]:
        """The instants of its instances in the four years."""
        kept = [day for day in self.days if day not in self.cancelled and day not in self.moved]
        moments = [*map(self.moment, kept), *self.moved.values()]
        return sorted(one for one in moments if YEARS[0] <= one < YEARS[1])

    def icalendar(self) -> dict[str, Any]:
        """The series in the words of RFC 5545: lines, the originals of cancelled ones, and overrides."""
        return {
            "lines": [f"DTSTART{self.value(self.days[0])}", f"RRULE:{self.full}",
                      *(f"EXDATE{self.value(day)}" for day in self.cancelled)],
            "overrides": [{"recurrenceId": self.local(day), "start": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
                          for day, at in self.moved.items()],
            "zone": self.zone if self.clock else "UTC",
            "until": f"{YEARS[1]:%Y-%m-%dT%H:%M:%SZ}",
        }  # fmt: skip

    def local(self, day: date) -> str:
        """The series' time on a local day, as a wall clock."""
        return datetime.combine(day, self.clock or time()).isoformat()

    def value(self, day: date) -> str:
        """A property's parameters and value for a local day."""
        if self.clock is None:
            return f";VALUE=DATE:{day:%Y%m%d}"
        return f";TZID={self.zone}:{datetime.combine(day, self.clock):{_STAMP}}"

    def elsewhere(self, day: date) -> datetime | None:
        """An instant to which the instance of a day can move and not touch its neighbours' days; None for none."""
        later = [day + timedelta(days=1), day + timedelta(days=2)]
        if not set(later) & set(self.days):
            return self.moment(later[0])
        if self.clock is None:
            return None
        return self.moment(day) + timedelta(minutes=90 if self.clock < time(12) else -90)


@cache
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
    found.moved = {day: to for day in chosen[2:] if (to := found.elsewhere(day)) is not None}
    return found


def is_real(day: date, clock: time, zone: str) -> bool:
    """Whether a wall clock exists on a day."""
    local = datetime.combine(day, clock, ZoneInfo(zone))
    return local.astimezone(UTC).astimezone(ZoneInfo(zone)).time() == clock
