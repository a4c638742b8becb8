"""The instances of a series: its rule in local time, without the deleted ones, with the changed ones in their place."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import NamedTuple

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
from services.processor.calendar.mapping.zones import UTC_ZONE, Zone, zone_info

_SLACK = timedelta(days=2)
"""Around the window: local days and zones' offsets."""
_LAST = datetime(9999, 12, 30, tzinfo=UTC)


class Slot(NamedTuple):
    """An instance in the order of lists, before its message is made.

    Args:
        starts_at: The instant by which lists are sorted.
        event_id: mailmesh's UUID of the instance.
        series: The series.
        day: The local day that the rule gives it; None for a changed instance.
    """

    starts_at: datetime
    event_id: str
    series: "Series"
    day: date | None

    def event(self) -> pb2.CalendarEvent:
        """Return the instance."""
        return self.series.changed[self.event_id] if self.day is None else self.series.at(self.day)


def slot_key(slot: Slot) -> tuple[datetime, str]:
    """Return the place of a slot in lists."""
    return slot.starts_at, slot.event_id


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

    @cached_property
    def changed(self) -> Mapping[str, pb2.CalendarEvent]:
        """The changed instances by mailmesh's id."""
        return {one.calendar_event_id: one for one in self.exceptions.values()}

    def slots(self, begin: datetime, end: datetime, spend: Callable[[], None]) -> Iterator[Slot]:
        """Yield the instances that overlap a window, by start and id.

        Args:
            begin: The beginning of the window.
            end: The time behind it.
            spend: Called for each step; it ends the expansion by raising.

        Raises:
            OverflowError: An instance leads out of time.
        """
        moved = [
            Slot(sort_instant(one.start), event_id, self, None)
            for event_id, one in self.changed.items()
            if overlaps(one, begin, end)
        ]
        by_rule = _in_order(self._by_rule(begin, end, spend))
        yield from heapq.merge(sorted(moved, key=slot_key), by_rule, key=slot_key) if moved else by_rule

    def _by_rule(self, begin: datetime, end: datetime, spend: Callable[[], None]) -> Iterator[Slot]:
        cancelled = set(self.master.cancelled_dates)
        first, last = _day_before(begin, self._length), (end + _SLACK).date()
        starts_too = self.master.recurrence.is_start_included
        for day in expand(self.rule, self.first_day, first, last, includes_start=starts_too, spend=spend):
            key = day.isoformat()
            if key in cancelled or key in self.exceptions or (starts := self._instant(day)) >= end:
                continue
            if starts >= begin or self.end_instant(day, starts) > begin:
                yield Slot(starts, instance_uuid(self.master.calendar_event_id, key), self, day)

    def at(self, day: date) -> pb2.CalendarEvent:
        """Return the instance of a local day as the rule has it."""
        master, start = self.master, self.original_start(day)
        instance = pb2.CalendarEvent()
        instance.CopyFrom(master)
        for name in ("recurrence", "cancelled_dates", "provider_event_id"):
            instance.ClearField(name)
        instance.start.CopyFrom(start if self._has_one_zone else at_instant(sort_instant(start), zone_of(master.start)))
        instance.end.CopyFrom(self._end(start))
        instance.original_start.CopyFrom(start)
        instance.kind = pb2.EVENT_KIND_OCCURRENCE
        instance.series_master_id = master.calendar_event_id
        instance.calendar_event_id = instance_uuid(master.calendar_event_id, day.isoformat())
        return instance

    def original_start(self, day: date) -> pb2.EventTime:
        """Return the start that the rule gives the instance of a local day, in the zone of the rule."""
        if self.master.is_all_day:
            return on_day(day)
        start = self._start
        return shifted(start, timedelta(days=(day - local_day(start)).days), zone_of(start))

    def _end(self, start: pb2.EventTime) -> pb2.EventTime:
        """Return the end of the instance that the rule begins at `start`.

        In one zone the wall clocks keep their distance. In several zones wall clocks cannot be compared, so the time
        that passes is kept. An end beyond the last year is the last hour of time.
        """
        master = self.master
        try:
            if self._has_one_zone:
                return shifted(start, self._clock_length, zone_of(master.end))
            return at_instant(sort_instant(start) + self._length, zone_of(master.end))
        except OverflowError:
            return on_day(date.max) if master.is_all_day else at_instant(_LAST, zone_of(master.end))

    def _instant(self, day: date) -> datetime:
        """Return the instant at which the rule begins the instance of a local day."""
        if self.master.is_all_day:
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        clock = datetime.combine(day, self._clock, zone_info(self._start.iana_zone))
        return clock.astimezone(UTC)

    def end_instant(self, day: date, starts: datetime) -> datetime:
        """Return the end of the instance of a local day that begins at an instant.

        It is the end that `at` gives, without a message: a page compares many that it does not return.
        """
        if not self.master.is_all_day and self._has_one_zone:
            zone = zone_info(self._start.iana_zone)
            with suppress(OverflowError):
                clock = starts.astimezone(zone).replace(tzinfo=None) + self._clock_length
                return clock.replace(tzinfo=zone).astimezone(UTC)
        return sort_instant(self._end(self.original_start(day)))

    @cached_property
    def _clock_length(self) -> timedelta:
        return local_clock(self.master.end) - local_clock(self.master.start)

    @cached_property
    def _start(self) -> pb2.EventTime:
        return _own_start(self.master)

    @cached_property
    def _clock(self) -> time:
        return local_clock(self._start).time()

    @cached_property
    def _length(self) -> timedelta:
        return sort_instant(self.master.end) - sort_instant(self.master.start)

    @cached_property
    def _has_one_zone(self) -> bool:
        master = self.master
        return master.is_all_day or master.start.iana_zone == master.end.iana_zone == self._start.iana_zone


def day_in_series(master: pb2.CalendarEvent, original_start: pb2.EventTime) -> date:
    """Return the local day, in the zone of a series' rule, of an instance's original start.

    The provider may state the original start in another zone, where it can be another day.

    Raises:
        ValueError: The time is empty.
    """
    zone = master.recurrence.iana_zone
    if not zone or not original_start.HasField("instant") or zone == original_start.iana_zone:
        return local_day(original_start)
    return local_day(at_instant(sort_instant(original_start), ZoneName(Zone(zone), "")))


def _in_order(slots: Iterable[Slot]) -> Iterator[Slot]:
    """Yield slots by start and id; two days of a rule have one instant where a zone left a day out."""
    held: Slot | None = None
    for slot in slots:
        first, held = (None, slot) if held is None else sorted((held, slot), key=slot_key)
        if first is not None:
            yield first
    if held is not None:
        yield held


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
