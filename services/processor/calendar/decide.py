"""Decide the change of an event from its stored version and the provider's: pure, and the same on each repetition."""

from dataclasses import dataclass
from datetime import date

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from mailmesh.calendar.v1 import event_pb2
from services.processor.calendar.mapping.series import Series
from services.processor.calendar.mapping.times import on_day
from services.processor.calendar.rows import Exceptions, SeenEvent, StoredEvent

CREATED = "calendar.event.created"
UPDATED = "calendar.event.updated"
DELETED = "calendar.event.deleted"
MAX_STARTS = 1000
MAX_INSTANCES = 50
_INSTANCES_BYTES = 150_000
_BRIEF_ATTENDEES = 20
_NO_CHANGE = ("version", "modified_at")
"""Fields that differ also where no person sees a difference: each attendee's answer touches them for all."""


@dataclass(frozen=True)
class Decision:
    """The change of an event.

    Args:
        stored: The version to store.
        event_type: The type of the event to publish; empty when nothing changed.
        change: The differences of an update.
    """

    stored: StoredEvent
    event_type: str
    change: event_pb2.CalendarChange | None = None


def decide(known: StoredEvent | None, seen: SeenEvent) -> Decision | None:
    """Return the change, or None when there is nothing to store.

    Args:
        known: The stored version.
        seen: The provider's version.
    """
    is_known = known is not None and not known.is_deleted
    if seen.event is None:
        if known is None or not is_known:
            return None
        return Decision(StoredEvent(known.event, known.revision + 1, is_deleted=True), DELETED)
    revision = 0 if known is None else known.revision
    now = StoredEvent(seen.event, revision + 1, exceptions=seen.exceptions)
    if known is None or not is_known:
        return Decision(now, CREATED)
    change = change_between(known, now)
    if change is None:
        return Decision(StoredEvent(seen.event, revision, exceptions=seen.exceptions), "")
    return Decision(now, UPDATED, change)


def change_between(before: StoredEvent, now: StoredEvent) -> event_pb2.CalendarChange | None:
    """Return the differences between two versions; None when there are none."""
    fields = _different(before.event, now.event)
    changed = [one for day, one in sorted(now.exceptions.items()) if _is_new(before.exceptions.get(day), one)]
    cancelled = sorted(set(now.event.cancelled_dates) - set(before.event.cancelled_dates))
    restored = sorted(
        (set(before.exceptions) | set(before.event.cancelled_dates))
        - set(now.exceptions)
        - set(now.event.cancelled_dates)
    )
    if not (fields or changed or restored):
        return None
    return event_pb2.CalendarChange(
        fields=fields,
        cancelled_starts=_starts(now, cancelled),
        changed_instances=(brief := _briefs(changed)),
        restored_starts=_starts(now, restored),
        is_cut=max(len(cancelled), len(restored)) > MAX_STARTS or len(changed) > len(brief),
    )


def _different(before: pb2.CalendarEvent, now: pb2.CalendarEvent) -> list[str]:
    if _plain(before) == _plain(now):
        return []
    names = [field.name for field in pb2.CalendarEvent.DESCRIPTOR.fields if field.name not in _NO_CHANGE]
    return sorted(name for name in names if _value(before, name) != _value(now, name))


def _value(event: pb2.CalendarEvent, name: str) -> object:
    field = pb2.CalendarEvent.DESCRIPTOR.fields_by_name[name]
    value = getattr(event, name)
    if field.is_repeated:
        return list(value)
    return (event.HasField(name), value) if field.message_type else value  # type: ignore[arg-type]


def _is_new(before: pb2.CalendarEvent | None, now: pb2.CalendarEvent) -> bool:
    return before is None or _plain(before) != _plain(now)


def _plain(event: pb2.CalendarEvent) -> pb2.CalendarEvent:
    plain = pb2.CalendarEvent()
    plain.CopyFrom(event)
    for name in _NO_CHANGE:
        plain.ClearField(name)  # type: ignore[arg-type]
    return plain


def _briefs(changed: list[pb2.CalendarEvent]) -> list[pb2.CalendarEvent]:
    """Return as many changed instances as an entry of the stream has room for."""
    kept: list[pb2.CalendarEvent] = []
    room = _INSTANCES_BYTES
    for instance in changed[:MAX_INSTANCES]:
        brief = _brief(instance)
        room -= brief.ByteSize()
        if room < 0:
            break
        kept.append(brief)
    return kept


def _brief(instance: pb2.CalendarEvent) -> pb2.CalendarEvent:
    brief = pb2.CalendarEvent()
    brief.CopyFrom(instance)
    brief.ClearField("body_text")
    del brief.attendees[_BRIEF_ATTENDEES:]
    return brief


def _starts(now: StoredEvent, days: list[str]) -> list[pb2.EventTime]:
    """Return the original starts of days; where the rule cannot be expanded, the days alone."""
    series = Series.of(now.event, _NONE)
    made = []
    for day in days[:MAX_STARTS]:
        parsed = date.fromisoformat(day)
        made.append(_start(series, parsed))
    return made


def _start(series: Series | None, day: date) -> pb2.EventTime:
    try:
        return on_day(day) if series is None else series.original_start(day)
    except OverflowError:  # beyond the last year
        return on_day(day)


_NONE: Exceptions = {}
