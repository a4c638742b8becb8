"""Recognise the changes that writes of this mesh made, so that their events say so. Pure."""

from collections.abc import Iterable

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from services.processor.calendar.decide import CREATED, DELETED, UPDATED, Decision
from services.processor.calendar.mapping.times import start_text
from services.processor.calendar.write_rows import Kind, State, WriteRow


class OwnWrites:
    """The writes that made or changed some events.

    Args:
        rows: The writes.
    """

    def __init__(self, rows: Iterable[WriteRow]) -> None:
        self._rows = list(rows)

    def write_of(self, decision: Decision) -> str:
        """Return the id of the write that made exactly a change; empty when others may have had a part in it.

        A new event is its write's whatever its version. A change is a write's only with the version that the provider
        named for it: a later version has a change of another program or person as well. A deletion is a cancellation's
        once that is done: the event was there before it. So is the change of a series that only lacks its occurrence.
        """
        event = _changed(decision)
        for row in self._rows:
            if _cancelled_only(row, decision):
                return row.calendar_write_id
            if row.calendar_event_id != event.calendar_event_id:
                continue
            if decision.event_type == CREATED and row.kind is Kind.CREATE:
                return row.calendar_write_id
            if decision.event_type == DELETED and row.kind is Kind.CANCEL and row.state is State.DONE:
                return row.calendar_write_id
            is_update = decision.event_type == UPDATED and row.kind is not Kind.CREATE
            if is_update and row.version and row.version == event.version:
                return row.calendar_write_id
        return ""


def ids_of(decisions: Iterable[Decision]) -> list[str]:
    """Return the ids of the events that changed, and of the changed instances of series."""
    found = []
    for one in decisions:
        found.append(one.stored.event.calendar_event_id)
        if one.change is not None:
            found += [instance.calendar_event_id for instance in one.change.changed_instances]
    return found


def _cancelled_only(row: WriteRow, decision: Decision) -> bool:
    """Return whether a change of a series is nothing but the cancellation of the occurrence of a write."""
    change = decision.change
    if row.kind is not Kind.CANCEL or row.state is not State.DONE or change is None:
        return False
    if row.series_id != decision.stored.event.calendar_event_id or set(change.fields) - {"cancelled_dates"}:
        return False
    starts = [start_text(one) for one in change.cancelled_starts]
    return starts == [row.original_start] and not (change.changed_instances or change.restored_starts)


def _changed(decision: Decision) -> event_pb2.CalendarEvent:
    """Return what a change touched: the event, or the only instance of a series that was changed by itself."""
    change = decision.change
    if change is None or change.fields or len(change.changed_instances) != 1:
        return decision.stored.event
    return change.changed_instances[0]
