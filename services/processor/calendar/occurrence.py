"""One occurrence of a stored series, found by its original start: as the rule has it, or as it was changed."""

import asyncio
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.processor.calendar.errors import CalendarEventNotFound, CalendarOccurrenceNotFound
from services.processor.calendar.instances import Budget
from services.processor.calendar.mapping.expansion import expand
from services.processor.calendar.mapping.series import Series
from services.processor.calendar.mapping.times import start_text
from services.processor.calendar.rows import StoredEvent
from services.processor.calendar.store import events

_FORM = re.compile(r"(\d{4}-\d\d-\d\d)(T\d\d:\d\d:\d\d)?")


@dataclass(frozen=True)
class Occurrence:
    """An occurrence.

    Args:
        series: Its series.
        event: The occurrence: a changed instance as it is stored, or one that its rule gives.
    """

    series: pb2.CalendarEvent
    event: pb2.CalendarEvent

    @property
    def is_changed(self) -> bool:
        """Whether the calendar has it as an event of its own."""
        return self.event.kind == pb2.EVENT_KIND_EXCEPTION


def check_original_start(text: str) -> date:
    """Return the local day of an original start.

    Raises:
        FieldInvalid: It is neither a wall clock without an offset nor a date.
    """
    match = _FORM.fullmatch(text)
    try:
        if match is not None:
            return date.fromisoformat(match[1])
    except ValueError:
        match = None
    raise FieldInvalid.of("original_start", "must be a wall clock as 2026-12-07T09:00:00, or a date as 2026-12-07")


async def find(pool: db.Pool, series_id: str, original_start: str, scope: list[str] | None) -> Occurrence:
    """Read an occurrence of a series.

    Args:
        pool: Connections to PostgreSQL.
        series_id: mailmesh's UUID of the series.
        original_start: The wall clock of its original start in the zone of the series, or the date of a whole day.
        scope: The tenants; None means all.

    Raises:
        FieldInvalid: The original start is malformed.
        CalendarEventNotFound: There is no such event in scope.
        CalendarOccurrenceNotFound: The event is no series, or has no such occurrence.
        CalendarWindowTooLarge: The rule takes too much work.
    """
    day = check_original_start(original_start)
    async with db.connection(pool) as connection:
        event = await events.by_id(connection, series_id, scope)
        stored = {} if event is None else await events.load(connection, event.calendar_id, [series_id])
    if event is None:
        raise CalendarEventNotFound(resource=series_id, metadata={"calendar_event_id": series_id})
    found = None
    if series_id in stored:
        # Apart from the event loop: a rule with a count is followed from its beginning.
        found = await asyncio.to_thread(_of_series, stored[series_id], day, original_start)
    if found is None:
        metadata = {"calendar_event_id": series_id, "original_start": original_start}
        raise CalendarOccurrenceNotFound(resource=f"{series_id} {original_start}", metadata=metadata)
    return Occurrence(event, found)


def columns_of(event: pb2.CalendarEvent | None, found: Occurrence | None) -> dict[str, Any]:
    """Return the values by which a write names its event; the provider tells the id of an unchanged occurrence."""
    is_known = event is not None and (found is None or found.is_changed)
    values: dict[str, Any] = {
        "calendar_event_id": event.calendar_event_id if event is not None and is_known else None,
        "provider_event_id": event.provider_event_id if event is not None and is_known else "",
        "series_id": None,
        "provider_series_id": "",
        "original_start": "",
    }
    if found is None:
        return values
    series = found.series
    return values | {
        "series_id": series.calendar_event_id,
        "provider_series_id": series.provider_event_id,
        "original_start": start_text(found.event.original_start),
    }


def _of_series(stored: StoredEvent, day: date, original_start: str) -> pb2.CalendarEvent | None:
    series = Series.of(stored.event, stored.exceptions)
    if series is None or day.isoformat() in stored.event.cancelled_dates:
        return None
    try:
        start = series.original_start(day)
    except OverflowError:  # beyond the last year
        return None
    if original_start not in (start.local, start.date):
        return None
    changed = stored.exceptions.get(day.isoformat())
    if changed is not None:
        return changed
    return series.at(day) if _has(series, day, Budget(stored.event.calendar_id)) else None


def _has(series: Series, day: date, budget: Budget) -> bool:
    if day == date.max:
        return False
    starts_too = series.master.recurrence.is_start_included
    with budget.running():
        days = expand(
            series.rule, series.first_day, day, day + timedelta(days=1), includes_start=starts_too, spend=budget.spend
        )
        return next(iter(days), None) is not None
