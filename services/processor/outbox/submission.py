"""One send, from its intent to its outcome: each step is committed before the next one begins.

intent -> draft with the mark -> its id -> SENDING -> submission -> accepted -> the sent copy's ids

A send that is a draft only ends with its id.

After a doubt (no answer, 5xx, an unexpected success, a crash) the mailbox is looked up before anything else, and a
query that fails proves nothing. A mail is submitted again only where the first submission surely had no effect, or
where its own draft is still there after minutes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from services.meshkit.clock import Clock
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.outbox.content import FILE_BYTES
from services.processor.outbox.ledger import Ledger
from services.processor.outbox.mailbox import HistoryLostError, SendingMailbox, is_refused, is_unprocessed, refusal_of
from services.processor.outbox.room import NoRoomError, Room
from services.processor.outbox.rows import UNSUBMITTED, File, Found, MailCopy, SendRow, State
from services.processor.settings import ProcessorSettings
from services.providers.failures import Meaning

logger = structlog.get_logger(__name__)

_FIRST_LOOK = timedelta(seconds=0.5)
_LONGEST_LOOK = timedelta(seconds=30)
_CLEARING = timedelta(hours=1)
_THROTTLED_WAIT = timedelta(seconds=5)
_NO_TOKEN_WAIT = timedelta(seconds=60)
_LOST_ATTEMPTS = 2
_NO_ROOM_WAIT = timedelta(seconds=2)


class Submission:
    """Moves the sends of one mailbox forward.

    Args:
        mailbox: The mailbox at its provider.
        ledger: Commits the steps.
        settings: Bounds and waits.
        clock: The time.
        room: The memory of the process for files.

    Attributes:
        is_held_back: Whether a failure put the account's sends off together: none of those read before may be acted on.
    """

    def __init__(
        self, mailbox: SendingMailbox, ledger: Ledger, settings: ProcessorSettings, clock: Clock, room: Room
    ) -> None:
        self._mailbox = mailbox
        self._ledger = ledger
        self._room = room
        self._settings = settings
        self._clock = clock
        self._held_until: datetime | None = None
        self.is_held_back = False

    async def advance(self, row: SendRow) -> None:
        """Take a send as far as it goes now. Safe to call again after a crash at any point.

        Raises:
            SendChangedError: Another process changed the send meanwhile.
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL cannot be reached or is too slow.
        """
        if row.state is State.SENDING:
            await self._confirm(row)
        elif row.state in UNSUBMITTED:
            await self._begin_in_room(row)
        else:
            await self._clear(row)

    async def _begin_in_room(self, row: SendRow) -> None:
        """Begin a send once there is memory for its files; without it, the mailbox's other work goes first."""
        has_draft = bool(row.draft_id) and not row.resolutions
        size = 0 if has_draft else await self._ledger.file_bytes(row)
        if not size:
            await self._begin(row)
            return
        try:
            async with self._room.take(size, self._settings.slice_seconds):
                await self._begin(row)
        except NoRoomError:
            await self._ledger.wait(row, self._clock.now() + _NO_ROOM_WAIT)

    async def _begin(self, row: SendRow) -> None:
        if self._clock.now() >= row.deadline_at:
            await self._ledger.failed(row, "SEND_EXPIRED", f"{row.reason}: {row.detail}".strip(": "))
            return
        if not row.content.is_draft_only and not await self._has_turn():
            return
        is_new = row.prepared_at is None
        try:
            if is_new:
                addressed = await self._mailbox.address(row) if row.original_id else row.addressed
                row = await self._ledger.intend(row, await self._mailbox.anchor(), addressed)
            ready = await (self._drafted(row) if is_new else self._prepared(row))
        except SourceError as exc:
            await self._put_off(row, exc)
            return
        if ready is not None and ready.content.is_draft_only:
            await self._ledger.kept(ready)
        elif ready is not None:
            await self._submit(ready)

    async def _has_turn(self) -> bool:
        """Tell whether the account may submit a mail now; if not, hold all of its sends back once."""
        if self._held_until is None or self._held_until <= self._clock.now():
            self._held_until = await self._ledger.pause(self._settings.sends_per_minute)
            if self._held_until is not None:
                await self._ledger.hold_back(self._held_until)
        return self._held_until is None

    async def _drafted(self, row: SendRow) -> SendRow:
        files = await self._files(row)
        return await self._ledger.drafted(row, await self._mailbox.draft(row, files))

    async def _files(self, row: SendRow) -> list[File]:
        """Read the files of a send, uploaded and received ones, in the order of the request."""
        found: list[File] = []
        # The sizes of uploaded files are known: what they leave is for the received ones.
        left = FILE_BYTES - await self._ledger.uploaded_bytes(row)
        for attachment in row.content.attachments:
            if attachment.HasField("received"):
                file = await self._mailbox.received(attachment, left)
                left -= len(file.content)
            else:
                file = await self._ledger.uploaded(row, attachment)
            found.append(file)
        return found

    async def _prepared(self, row: SendRow) -> SendRow | None:
        """Return the send with its draft; None when it was sent already, or cannot be looked up now."""
        if row.draft_id and not row.resolutions:
            return row
        found = await self._looked_up(row)
        if found is None:
            return None
        if sent := _sent(found.copies):
            await self._ledger.sent(row, sent)
            await self._tidy(found.copies, sent.message_id)
            return None
        if row.resolutions:
            row = await self._ledger.reached(row, found.anchor)
        kept = next((copy.message_id for copy in found.copies if copy.is_draft and not copy.is_spare), "")
        await self._clear_the_way(row, found.copies, kept)
        return await (self._ledger.drafted(row, kept) if kept else self._drafted(row))

    async def _clear_the_way(self, row: SendRow, copies: Sequence[MailCopy], kept: str) -> None:
        """Delete all drafts but one before its id is committed: with the id, no look-up asks for the others.

        A person could send one that stays. A failure that passes puts the send off; a refused deletion stops no mail.

        Raises:
            SourceError: A draft cannot be deleted now.
        """
        spares = [copy.message_id for copy in copies if copy.is_draft and copy.message_id != kept]
        if spares:
            await self._ledger.confirm(row)  # another worker's draft may be among them
        for draft_id in spares:
            try:
                await self._mailbox.discard(draft_id)
            except SourceError as exc:
                if not is_refused(exc):
                    raise
                logger.warning("draft not deleted", error=exc.reason, detail=exc.detail)

    async def _looked_up(self, row: SendRow) -> Found | None:
        """Look up a send that is to be submitted. A refused look-up refuses no mail: it is repeated like any other."""
        try:
            found = await self._mailbox.find(row)
        except SourceError as exc:
            if _is_lost(row, exc):
                await self._ledger.failed(row, "SEND_EXPIRED", exc.detail)
            else:
                await self._retry(row, exc)
            return None
        if found.is_complete or _sent(found.copies):
            return found
        await self._ledger.wait(row, self._clock.now(), anchor=found.anchor)
        return None

    async def _submit(self, row: SendRow) -> None:
        sending = await self._ledger.submitting(row)
        try:
            message_id = await self._mailbox.submit(sending)
        except SourceError as exc:
            await self._not_accepted(sending, exc, row.submitted_at)
            return
        await self._confirm(await self._ledger.accepted(sending, message_id))

    async def _not_accepted(self, row: SendRow, error: SourceError, earlier: datetime | None) -> None:
        # After an earlier submission without an answer, the refusal of this one says nothing about that one.
        is_first, until = row.submissions == 1, self._retry_at(row, error)
        if is_first and is_unprocessed(error):
            await self._ledger.unprocessed(row, until, error.reason, error.detail)
            await self._hold_back(error, until)
        elif is_first and is_refused(error):
            await self._ledger.failed(row, _refusal(row, error), error.detail)
        elif is_unprocessed(error):
            # The doubt about the earlier one remains, and this one surely had no effect: it counts as none.
            await self._ledger.uncounted(row, earlier, until, error.reason, error.detail)
            await self._hold_back(error, until)
        else:
            logger.warning("submission without an answer", send_id=row.send_id, detail=error.detail)
            look_at = self._clock.now() + max(_FIRST_LOOK, error.retry_after or _FIRST_LOOK)
            await self._ledger.wait(row, look_at, error.reason, error.detail, failed=1)

    async def _confirm(self, row: SendRow) -> None:
        """Look the mail up in the sender's mailbox, and decide."""
        try:
            found = await self._mailbox.find(row)
        except SourceError as exc:
            await self._not_found_out(row, exc)
            return
        if sent := _sent(found.copies):
            await self._ledger.sent(row, sent)
            await self._tidy(found.copies, sent.message_id)
        elif row.accepted_at is not None:
            await self._await_copy(row)
        elif not found.is_complete:
            await self._ledger.wait(row, self._clock.now(), anchor=found.anchor)
        elif self._is_settling(row):
            await self._ledger.wait(row, self._look_at(row))
        elif any(copy.message_id == row.draft_id for copy in found.copies) and self._may_submit(row):
            await self._submit(row)
        else:
            row = await self._ledger.reached(row, found.anchor)
            await self._ledger.uncertain(row, f"submitted, and no sent copy was found; {row.detail}".rstrip("; "))

    async def _await_copy(self, row: SendRow) -> None:
        """An accepted mail is done; its copy is only looked up for the ids that the provider stamped."""
        assert row.accepted_at is not None  # noqa: S101 - the caller has looked
        if self._clock.now() - row.accepted_at >= timedelta(seconds=self._settings.send_copy_seconds):
            await self._ledger.sent(row, None)
        else:
            await self._ledger.wait(row, self._look_at(row))

    async def _not_found_out(self, row: SendRow, error: SourceError) -> None:
        """A failed query never means "not sent": repeat it until the deadline, then a person decides.

        A history that is lost does not come back, so a person decides then as well.
        """
        if row.accepted_at is not None:
            await self._await_copy(row)
        elif (self._clock.now() >= row.deadline_at or _is_lost(row, error)) and not self._is_settling(row):
            await self._ledger.uncertain(row, f"submitted, and could not be looked up: {error.detail}")
        else:
            until = max(self._look_at(row), self._retry_at(row, error))
            await self._ledger.wait(row, until, failed=1)
            await self._hold_back(error, until)

    async def _put_off(self, row: SendRow, error: SourceError) -> None:
        """The preparation failed, which sends nothing: retry it, or end the send."""
        if is_refused(error):
            await self._ledger.failed(row, _refusal(row, error), error.detail)
        else:
            await self._retry(row, error)

    async def _retry(self, row: SendRow, error: SourceError) -> None:
        """Retry what precedes the submission, until the deadline or the number of attempts ends the send."""
        if self._clock.now() >= row.deadline_at or row.attempts >= self._settings.send_attempts:
            await self._ledger.failed(row, "SEND_EXPIRED", f"{error.reason}: {error.detail}")
        else:
            # Throttling and a token that is not lent end by themselves or by a person: the deadline alone bounds them.
            failed, until = int(error.meaning not in (Meaning.THROTTLED, None)), self._retry_at(row, error)
            await self._ledger.wait(row, until, error.reason, error.detail, failed=failed)
            await self._hold_back(error, until)

    async def _hold_back(self, error: SourceError, until: datetime) -> None:
        """Let the account's other sends wait as long as this one when the provider throttles, or a person must act."""
        if error.meaning is Meaning.THROTTLED or _is_blocked(error):
            await self._ledger.hold_back(until)
            self.is_held_back = True

    async def _clear(self, row: SendRow) -> None:
        """Delete the drafts of a send that was cancelled or has failed."""
        assert row.finished_at is not None  # noqa: S101 - it has its outcome
        try:
            await self._tidy((await self._mailbox.find(row)).copies, "")
        except SourceError as exc:
            if self._clock.now() - row.finished_at < _CLEARING:
                await self._ledger.wait(row, self._retry_at(row, exc), failed=1)
                return
            logger.warning("drafts not deleted", send_id=row.send_id, error=exc.reason)
        await self._ledger.cleared(row)

    async def _tidy(self, copies: Sequence[MailCopy], kept: str) -> None:
        """Delete the drafts that crashes left beside the one that counts."""
        for copy in copies:
            if copy.is_draft and copy.message_id != kept:
                await self._discard(copy.message_id)

    async def _discard(self, draft_id: str) -> None:
        if not draft_id:
            return
        try:
            await self._mailbox.discard(draft_id)
        except SourceError as exc:  # it disturbs a person who looks into Drafts, and nothing else
            logger.warning("draft not deleted", error=exc.reason, detail=exc.detail)

    def _is_settling(self, row: SendRow) -> bool:
        assert row.submitted_at is not None  # noqa: S101 - it is being sent
        return self._clock.now() - row.submitted_at < timedelta(seconds=self._settings.send_settle_seconds)

    def _may_submit(self, row: SendRow) -> bool:
        return row.submissions < self._settings.send_submissions and self._clock.now() < row.deadline_at

    def _look_at(self, row: SendRow) -> datetime:
        """Look again after as long as the submission is ago, so that the distances double."""
        assert row.submitted_at is not None  # noqa: S101 - it is being sent
        now = self._clock.now()
        return now + min(max(now - row.submitted_at, _FIRST_LOOK), _LONGEST_LOOK)

    def _retry_at(self, row: SendRow, error: SourceError) -> datetime:
        policy = RetryPolicy.from_settings(self._settings, self._clock.now())
        base = _THROTTLED_WAIT if error.meaning is Meaning.THROTTLED else None
        grown = policy.after(row.attempts, base)
        if _is_blocked(error):
            grown = max(grown, policy.now + _NO_TOKEN_WAIT)
        return grown if error.retry_after is None else policy.now + error.retry_after


def _is_blocked(error: SourceError) -> bool:
    """Return whether TokenVault lends no token until a person acts."""
    return error.meaning is None and error.remedy is Remedy.PERSON


def _refusal(row: SendRow, error: SourceError) -> str:
    return refusal_of(error, names_sender=row.content.HasField("from_address"))


def _is_lost(row: SendRow, error: SourceError) -> bool:
    """Return whether a search is impossible for good: Gmail's 404 is believed when it repeats."""
    return isinstance(error, HistoryLostError) and row.attempts >= _LOST_ATTEMPTS


def _sent(copies: Sequence[MailCopy]) -> MailCopy | None:
    return next((copy for copy in copies if not copy.is_draft), None)
