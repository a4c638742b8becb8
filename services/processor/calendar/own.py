"""Recognise the changes that writes of this mesh made, so that their events say so. Pure."""

from collections.abc import Iterable

from services.processor.calendar.decide import CREATED, UPDATED, Decision
from services.processor.calendar.write_rows import Kind, WriteRow


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
        named for it: a later version has a change of another program or person as well.
        """
        event = decision.stored.event
        for row in self._rows:
            if row.calendar_event_id != event.calendar_event_id:
                continue
            if decision.event_type == CREATED and row.kind is Kind.CREATE:
                return row.calendar_write_id
            is_update = decision.event_type == UPDATED and row.kind is not Kind.CREATE
            if is_update and row.version and row.version == event.version:
                return row.calendar_write_id
        return ""
