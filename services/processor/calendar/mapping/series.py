"""The instances of a series: its rule in local time, without the deleted ones, with the changed ones in their place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.ids import instance_uuid
from services.processor.calendar.mapping.expansion import expand
from services.processor.calendar.mapping.rules import Rule, RuleError, parse_rule
from services.processor.calendar.mapping.times import (
    ZoneName,
    at_instant,
    local_clock,
    local_day,
    on_day,
    shifted,
    sort_instant,
    zone_of,
)
from services.processor.calendar.mapping.zones import UTC_ZONE, Zone

_SLACK = timedelta(days=2)
"""Around the window: local days and zones' offsets."""


@dataclass(frozen=True)
class Series:
    """A series that can be expanded.

    Args:
        master: The series.
        rule: Its rule.
        first_day: The local day from which the rule counts.
        exceptions: The changed instances, by the local day of their original start.
    """

    master: pb2.CalendarEvent
    rule: Rule
    first_day: date
    exceptions: Mapping[str, pb2.CalendarEvent]

    @classmethod
    def of(cls, master: pb2.CalendarEvent, exceptions: Mapping[str, pb2.CalendarEvent]) -> "Series | None":
        """Return the series of a master; None when its rule cannot be expanded."""
        try:
            rule = parse_rule(master.recurrence.rule, master.recurrence.iana_zone or UTC_ZONE)
            return cls(master, rule, local_day(_own_start(master)), exceptions)
        except (RuleError, ValueError):
            return None

    def instances(self, begin: datetime, end: datetime) -> Iterator[pb2.CalendarEvent]:
        """Yield the instances that overlap a window, by the time that the rule gives them.

        A moved instance comes where the rule has it, so that the caller sorts. It is found although the rule's own time
        for it is outside of the window.
        """
        length = sort_instant(self.master.end) - sort_instant(self.master.start)
        cancelled = set(self.master.cancelled_dates)
        for exception in self.exceptions.values():
            if overlaps(exception, begin, end):
                yield exception
        first, last = _day_before(begin, length), (end + _SLACK).date()
        for day in expand(self.rule, self.first_day, first, last):
            key = day.isoformat()
            if key not in cancelled and key not in self.exceptions:
                instance = self.at(day)
                if overlaps(instance, begin, end):
                    yield instance

    def at(self, day: date) -> pb2.CalendarEvent:
        """Return the instance of a local day as the rule has it."""
        master = self.master
        instance = pb2.CalendarEvent()
        instance.CopyFrom(master)
        for name in ("recurrence", "cancelled_dates", "provider_event_id"):
            instance.ClearField(name)
        start = self.original_start(day)
        span = local_clock(master.end) - local_clock(master.start)
        end_zone = zone_of(master.end)
        if master.end.iana_zone != master.start.iana_zone:
            # Different zones: the wall clocks cannot be compared, so the time that passes is kept.
            span, end_zone = sort_instant(master.end) - sort_instant(master.start), zone_of(master.start)
        instance.start.CopyFrom(start)
        instance.end.CopyFrom(shifted(start, span, end_zone))
        instance.original_start.CopyFrom(start)
        instance.kind = pb2.EVENT_KIND_OCCURRENCE
        instance.series_master_id = master.calendar_event_id
        instance.calendar_event_id = instance_uuid(master.calendar_event_id, day.isoformat())
        return instance

    def original_start(self, day: date) -> pb2.EventTime:
        """Return the start that the rule gives the instance of a local day."""
        if self.master.is_all_day:
            return on_day(day)
        start = _own_start(self.master)
        return shifted(start, timedelta(days=(day - local_day(start)).days), zone_of(start))


def overlaps(event: pb2.CalendarEvent, begin: datetime, end: datetime) -> bool:
    """Return whether an event is in a window; one without length is, where it begins."""
    starts, ends = sort_instant(event.start), sort_instant(event.end)
    return starts < end and (ends > begin or starts == ends >= begin)


def _day_before(begin: datetime, length: timedelta) -> date:
    """Return a day before all instances of a length that reach into a window; the first day of time at the earliest."""
    try:
        return (begin - length - _SLACK).date()
    except OverflowError:
        return date.min


def _own_start(master: pb2.CalendarEvent) -> pb2.EventTime:
    """Return the master's start with its wall clock in the zone of the rule, where that is another one."""
    zone = master.recurrence.iana_zone
    if master.is_all_day or not zone or zone == master.start.iana_zone:
        return master.start
    own = ZoneName(Zone(zone, master.start.is_zone_approximate), master.start.provider_zone)
    return at_instant(sort_instant(master.start), own)
