"""The operations of an account's calendars that a write needs, at either provider."""

from typing import Protocol

from services.processor.calendar.write_rows import Made, WriteRow


class WritableCalendars(Protocol):
    """The calendars of one account that a worker writes to."""

    async def submit(self, row: WriteRow) -> Made:
        """Make the change.

        Raises:
            SourceError: Any failure; see `failures.is_unprocessed` and `failures.is_refused`.
        """

    async def find(self, row: WriteRow) -> Made | None:
        """Look the change up; None when it is not there yet; it may appear late.

        Raises:
            SourceError: A query failed, which proves nothing about the change.
        """

    async def event(self, row: WriteRow) -> Made | None:
        """Read the event that the write made; None when the calendar does not have it any more.

        Raises:
            SourceError: Any other failure.
        """
