"""One write, from its intent to its outcome: each step is committed before the next one begins.

PENDING -> WRITING -> the change -> DONE -> the address of the online meeting

After a doubt (no answer, 5xx, a crash) the change is looked up before anything else, and a query that fails proves
nothing. A change is submitted again only under the mark by which the provider recognises a repetition, and only where
the look-up did not find it for a time: it may appear late, and a fault of the provider lasts. The time doubles with
each failure.
"""

from datetime import datetime, timedelta

import structlog

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from services.meshkit.clock import Clock
from services.processor.calendar.write_rows import Kind, Made, State, WriteRow
from services.processor.calendar.writing.failures import (
    is_blocked,
    is_outdated,
    is_refused,
    is_unprocessed,
    may_have_cancelled,
)
from services.processor.calendar.writing.ledger import Ledger
from services.processor.calendar.writing.outcome import FIRST_POLL, meeting_of
from services.processor.calendar.writing.target import ImpossibleError, UnprovableError, WritableCalendars
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.settings import ProcessorSettings
from services.providers.failures import Meaning

logger = structlog.get_logger(__name__)

NOT_MADE = "ONLINE_MEETING_NOT_MADE"
_FIRST_LOOK = timedelta(seconds=0.5)
_LONGEST_LOOK = timedelta(seconds=30)
_THROTTLED_WAIT = timedelta(seconds=5)
_BLOCKED_WAIT = timedelta(seconds=60)
"""The least wait where a person must act for the whole account; see `is_blocked`."""


class Submission:
    """Moves the writes of one account forward.

    Args:
        calendars: The calendars at their provider.
        ledger: Commits the steps.
        settings: Bounds and waits.
        clock: The time.

    Attributes:
        is_held_back: Whether the account's writes were put off together: none of those read before may be acted on.
    """

    def __init__(self, calendars: WritableCalendars, ledger: Ledger, settings: ProcessorSettings, clock: Clock) -> None:
        self._calendars = calendars
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self.is_held_back = False

    async def advance(self, row: WriteRow) -> None:
        """Take a write as far as it goes now. Safe to call again after a crash at any point.

        Raises:
            WriteChangedError: Another process changed the write meanwhile.
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL cannot be reached or is too slow.
        """
        if row.state is State.WRITING:
            await self._confirm(row)
        elif row.state is State.DONE:
            await self._await_meeting(row)
        elif self._is_over(row):
            await self._ledger.failed(row, "CALENDAR_WRITE_EXPIRED", f"{row.reason}: {row.detail}".strip(": "))
        else:
            await self._submit(row)

    async def _submit(self, row: WriteRow) -> None:
        target = None
        if row.kind is not Kind.CREATE and row.submissions == 0:
            try:
                target = await self._calendars.target(row)
            except SourceError as exc:
                await self._not_read(row, exc)
                return
            except ImpossibleError as exc:
                await self._ledger.failed(row, exc.reason, exc.detail)
                return
        writing = await self._ledger.submitting(row, target)
        try:
            made = await self._calendars.submit(writing)
        except SourceError as exc:
            await self._not_made(writing, exc)
            return
        await self._ledger.done(writing, made)

    async def _not_read(self, row: WriteRow, error: SourceError) -> None:
        """The event could not be read before the submission: nothing was submitted."""
        if is_refused(error):
            await self._ledger.failed(row, "CALENDAR_WRITE_REFUSED", error.detail)
            return
        until = self._retry_at(row, error)
        await self._ledger.wait(row, until, error.reason, error.detail, failed=1)
        await self._hold_back(error, until)

    async def _not_made(self, row: WriteRow, error: SourceError) -> None:
        # After an earlier submission without an answer, the refusal of this one says nothing about that one.
        until = self._retry_at(row, error)
        if is_unprocessed(error):
            await self._ledger.unprocessed(row, until, error.reason, error.detail)
            await self._hold_back(error, until)
        elif row.submissions == 1 and is_outdated(error):
            # The event was changed between its reading and this submission: it is read again, and decided again.
            await self._ledger.unprocessed(row, self._clock.now() + _FIRST_LOOK, error.reason, error.detail)
        elif row.submissions == 1 and is_refused(error) and not may_have_cancelled(row, error):
            await self._ledger.failed(row, _reason_of(row, error), error.detail)
        else:
            logger.warning(
                "calendar write without an answer", calendar_write_id=row.calendar_write_id, error=error.detail
            )
            look_at = self._clock.now() + max(_FIRST_LOOK, error.retry_after or _FIRST_LOOK)
            await self._ledger.wait(row, look_at, error.reason, error.detail, failed=1)
            await self._hold_back(error, look_at)

    async def _confirm(self, row: WriteRow) -> None:
        """Look the change up, and decide."""
        try:
            made = await self._calendars.find(row)
        except SourceError as exc:
            await self._not_found_out(row, exc)
            return
        except UnprovableError as exc:
            await self._ledger.uncertain(row, f"submitted, and {exc.detail}")
            return
        if made is not None:
            await self._ledger.done(row, made)
        elif self._is_settling(row):
            await self._ledger.wait(row, self._look_at(row))
        elif row.submissions < self._settings.send_submissions and not self._is_over(row):
            await self._submit(row)
        else:
            await self._ledger.uncertain(row, f"submitted, and the change was not found; {row.detail}".rstrip("; "))

    async def _not_found_out(self, row: WriteRow, error: SourceError) -> None:
        """A failed query never means "not made": repeat it until the deadline, then a person decides."""
        if self._is_over(row):
            await self._ledger.uncertain(row, f"submitted, and could not be looked up: {error.detail}")
        else:
            until = max(self._look_at(row), self._retry_at(row, error))
            await self._ledger.wait(row, until, error.reason, error.detail, failed=1)
            await self._hold_back(error, until)

    async def _await_meeting(self, row: WriteRow) -> None:
        """Ask the event for the address of its online meeting; the event stays whatever becomes of it."""
        assert row.finished_at is not None  # noqa: S101 - it is done
        is_over = self._clock.now() - row.finished_at >= timedelta(seconds=self._settings.calendar_meeting_seconds)
        try:
            made = await self._calendars.event(row)
        except SourceError as exc:
            if is_over:
                await self._ledger.meeting(row, _failed(row), NOT_MADE, exc.detail)
            else:
                until = max(self._poll_at(row), self._retry_at(row, exc))
                await self._ledger.wait(row, until)
                await self._hold_back(exc, until)
            return
        await self._note_meeting(row, made, is_over=is_over)

    async def _note_meeting(self, row: WriteRow, made: Made | None, *, is_over: bool) -> None:
        meeting = meeting_of(row, made)
        if meeting.state == event_pb2.ONLINE_MEETING_STATE_READY:
            await self._ledger.meeting(row, meeting)
        elif made is None:
            await self._ledger.meeting(row, _failed(row), NOT_MADE, "the event is gone")
        elif meeting.state == event_pb2.ONLINE_MEETING_STATE_FAILED:
            await self._ledger.meeting(row, meeting, NOT_MADE, "the provider could not make the meeting")
        elif is_over:
            seconds = round(self._settings.calendar_meeting_seconds)
            await self._ledger.meeting(row, _failed(row), NOT_MADE, f"no address to join after {seconds} seconds")
        else:
            await self._ledger.wait(row, self._poll_at(row))

    async def _hold_back(self, error: SourceError, until: datetime) -> None:
        """Let the account's other writes wait as long as this one where the failure concerns them all."""
        if error.remedy is Remedy.THROTTLED or is_blocked(error):
            await self._ledger.hold_back(until, error.reason, error.detail)
            self.is_held_back = True

    def _is_over(self, row: WriteRow) -> bool:
        return self._clock.now() >= row.deadline_at

    def _is_settling(self, row: WriteRow) -> bool:
        assert row.submitted_at is not None  # noqa: S101 - it is being written
        least = self._settings.calendar_write_settle_seconds
        grown = min(least * 2 ** min(max(row.attempts - 1, 0), 20), self._settings.retry_max_seconds)
        return self._clock.now() - row.submitted_at < timedelta(seconds=max(least, grown))

    def _look_at(self, row: WriteRow) -> datetime:
        """Look again after as long as the submission is ago, so that the distances double."""
        assert row.submitted_at is not None  # noqa: S101 - it is being written
        return self._later(row.submitted_at, _FIRST_LOOK)

    def _poll_at(self, row: WriteRow) -> datetime:
        assert row.finished_at is not None  # noqa: S101 - it is done
        return self._later(row.finished_at, FIRST_POLL)

    def _later(self, since: datetime, least: timedelta) -> datetime:
        now = self._clock.now()
        return now + min(max(now - since, least), _LONGEST_LOOK)

    def _retry_at(self, row: WriteRow, error: SourceError) -> datetime:
        policy = RetryPolicy.from_settings(self._settings, self._clock.now())
        base = _THROTTLED_WAIT if error.meaning is Meaning.THROTTLED else None
        grown = policy.after(row.attempts, base)
        if is_blocked(error):
            grown = max(grown, policy.now + _BLOCKED_WAIT)
        return grown if error.retry_after is None else policy.now + error.retry_after


def _reason_of(row: WriteRow, error: SourceError) -> str:
    """Return the reason of a refused submission: an event that is gone has its own, as before the submission."""
    is_gone = row.kind is not Kind.CREATE and error.remedy is Remedy.MISSING
    return "CALENDAR_EVENT_NOT_FOUND" if is_gone else "CALENDAR_WRITE_REFUSED"


def _failed(row: WriteRow) -> event_pb2.OnlineMeeting:
    state = event_pb2.ONLINE_MEETING_STATE_FAILED
    return event_pb2.OnlineMeeting(provider=row.meeting_provider, state=state)
