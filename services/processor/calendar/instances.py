"""The first instances of many series behind a place, within a bound on work, on number and on size."""

import heapq
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.meshkit.metrics import UNEXPECTED
from services.processor.calendar.errors import CalendarWindowTooLarge
from services.processor.calendar.mapping.series import Series, Slot, slot_key
from services.processor.calendar.rows import StoredEvent

logger = structlog.get_logger(__name__)

MAX_STEPS = 300_000
"""The largest number of periods of rules that one page examines: about a year of 800 daily series."""
MAX_SECONDS = 4.0
"""The longest time of a processor that one page spends on instances."""
_STEPS_BETWEEN_CLOCKS = 512


class Budget:
    """The work that one page may spend on instances.

    Args:
        calendar_id: The calendar, for the refusal.
        steps: The largest number of examined periods.
        seconds: The longest time of a processor.
    """

    def __init__(self, calendar_id: str, steps: int = MAX_STEPS, seconds: float = MAX_SECONDS) -> None:
        self._calendar_id = calendar_id
        self._steps = steps
        self._seconds = seconds
        self._until = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of this thread while the block runs."""
        self._until = time.thread_time() + self._seconds
        try:
            yield
        finally:
            self._seconds = self._until - time.thread_time()

    def spend(self) -> None:
        """Count one step.

        Raises:
            CalendarWindowTooLarge: The work is spent.
        """
        self._steps -= 1
        if self._steps < 0 or (self._steps % _STEPS_BETWEEN_CLOCKS == 0 and time.thread_time() > self._until):
            raise CalendarWindowTooLarge(subject=self._calendar_id, metadata={"calendar_id": self._calendar_id})


@dataclass(frozen=True)
class FirstSlots:
    """The first instances of the series so far.

    Args:
        slots: The instances, by start and id.
        is_cut: Whether later instances are left out, so that nothing behind the last one is known.
    """

    slots: Sequence[Slot] = ()
    is_cut: bool = False


@dataclass(frozen=True)
class Wanted:
    """The instances that a page wants.

    Args:
        begin: The beginning of the window.
        end: The time behind it.
        behind: The start and id of the last event of the page before.
        limit: The largest number.
        size: The bytes after which no further instance is wanted.
    """

    begin: datetime
    end: datetime
    behind: tuple[datetime, str]
    limit: int
    size: int


def first_slots(before: FirstSlots, series: Sequence[StoredEvent], wanted: Wanted, budget: Budget) -> FirstSlots:
    """Return the first instances of further series and of those before.

    No series is expanded beyond the instances that are returned, but for one instance each.

    Args:
        before: The first instances of other series.
        series: The further series.
        wanted: The instances that are wanted.
        budget: The work that may be spent.

    Raises:
        CalendarWindowTooLarge: The work is spent.
    """
    with budget.running():
        return _merged(before, [_slots(one, wanted, budget) for one in series], wanted)


def _merged(before: FirstSlots, streams: Sequence[Iterator[Slot]], wanted: Wanted) -> FirstSlots:
    merged = heapq.merge(before.slots, *streams, key=slot_key)
    kept: list[Slot] = []
    size = 0
    for slot in merged:
        if len(kept) >= wanted.limit or size > wanted.size:
            return FirstSlots(kept, is_cut=True)
        kept.append(slot)
        size += slot.series.master.ByteSize()
    return FirstSlots(kept, before.is_cut)


def _slots(one: StoredEvent, wanted: Wanted, budget: Budget) -> Iterator[Slot]:
    """Yield the instances of a series. One series that leads out of time must not hide a calendar: it ends there."""
    series = Series.of(one.event, one.exceptions)
    # Instances that begin before the place were on earlier pages.
    begin = max(wanted.begin, wanted.behind[0])
    budget.spend()
    try:
        for slot in series.slots(begin, wanted.end, budget.spend) if series is not None else ():
            if slot_key(slot) > wanted.behind:
                yield slot
    except (OverflowError, ValueError) as exc:
        UNEXPECTED.labels("calendar_series").inc()
        logger.warning("series not expanded", calendar_event_id=one.event.calendar_event_id, error=str(exc))
