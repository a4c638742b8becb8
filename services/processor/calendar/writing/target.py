"""The operations of an account's calendars that a write needs, at either provider."""

from typing import Protocol

from services.processor.calendar.write_rows import Kind, Made, Target, WriteRow

GONE = "the event, or its calendar, is gone or out of reach: the calendar does not tell whether the change was made"
_CALENDAR_GONE = "the calendar itself is gone or out of reach, so that its missing event proves nothing"
_ANSWERED_BEFORE = "the event had this answer already before, so that it does not tell whether it was given once more"
_ANSWERED_OTHERWISE = "the event was changed meanwhile and has another answer"
_OVERTAKEN = "another change made a newer version, which does not show whether this one was made before it"


class ImpossibleError(Exception):
    """The event's present state does not permit the change: nothing was submitted.

    Args:
        reason: The reason from the error catalogue.
        detail: A sentence for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class UnprovableError(Exception):
    """The event has changed since, and does not show whether the change was made before that.

    Args:
        detail: A sentence for people.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class WritableCalendars(Protocol):
    """The calendars of one account that a worker writes to."""

    async def target(self, row: WriteRow) -> Target:
        """Read the event that a write changes, before its submission; not for new events.

        An occurrence of a series that has no event of its own yet is found by its original start.

        Raises:
            ImpossibleError: Its state does not permit the change.
            SourceError: Any failure.
        """

    async def submit(self, row: WriteRow) -> Made:
        """Make the change; of a stored event only in its version `row.version_before`, where the provider can guard it.

        Raises:
            SourceError: Any failure; see `failures.is_unprocessed` and `failures.is_refused`.
        """

    async def find(self, row: WriteRow) -> Made | None:
        """Look the change up; None when it is not there yet; it may appear late.

        Raises:
            UnprovableError: The event does not tell.
            SourceError: A query failed, which proves nothing about the change.
        """

    async def event(self, row: WriteRow) -> Made | None:
        """Read the event that the write made; None when the calendar does not have it any more.

        Raises:
            SourceError: Any other failure.
        """


def no_occurrence() -> ImpossibleError:
    """Return the refusal of an occurrence that the series does not have any more."""
    return ImpossibleError("CALENDAR_OCCURRENCE_NOT_FOUND", "the series has no occurrence with this original start")


def check_live(row: WriteRow, version: str, *, is_organizer: bool) -> None:
    """Check the provider's present state of an event before it is cancelled, or its fields are changed.

    Raises:
        ImpossibleError: The calendar's owner is not the organizer, or the caller named another version.
    """
    if not is_organizer:
        raise ImpossibleError("CALENDAR_EVENT_NOT_ORGANIZED", "the calendar's owner is not the organizer")
    if row.kind is Kind.UPDATE and row.changes.version not in ("", version):
        raise ImpossibleError("CALENDAR_EVENT_CHANGED", f"the newest version is {version}")


def found_change(row: WriteRow, mark: str, version: str) -> Made | None:
    """Look a change up by its mark; None while the event has the version from before, and the change may come late.

    Args:
        row: A change in doubt.
        mark: The id of the write that last marked the event.
        version: The event's present version.

    Raises:
        UnprovableError: The event has another version without the mark. The change can no longer be made, since it
            names the old version; but it may have been made, and another change may have replaced it with its mark.
    """
    if mark == row.calendar_write_id:
        return Made(row.provider_event_id, version)
    if row.version_before and version != row.version_before:
        raise UnprovableError(_OVERTAKEN)
    return None


def found_cancelled(row: WriteRow, *, is_reached: bool) -> Made:
    """Return the outcome of a cancellation whose event is gone.

    Args:
        row: A cancellation in doubt.
        is_reached: Whether the provider shows the calendar that had the event. Providers answer "not found" for the
            events of a calendar that the account may no longer see.

    Raises:
        UnprovableError: The calendar cannot be reached.
    """
    if not is_reached:
        raise UnprovableError(_CALENDAR_GONE)
    return Made(row.provider_event_id, "")


def found_answer(row: WriteRow, version: str, *, is_given: bool) -> Made | None:
    """Look an answer up in the event; None while the event has the version from before, and the answer may come late.

    Args:
        row: An answer in doubt.
        version: The event's present version.
        is_given: Whether the event has this answer.

    Raises:
        UnprovableError: The event has another version with another answer, or had this one already before.
    """
    if row.version_before and row.was_given:
        raise UnprovableError(_ANSWERED_BEFORE)
    if row.version_before and version == row.version_before:
        return None
    if is_given and not row.was_given:
        return Made(row.provider_event_id, version)
    if row.version_before:
        raise UnprovableError(_ANSWERED_OTHERWISE)
    return None
