"""Turn Gmail's history into events, and move the cursor as far as the reads prove."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from services.processor.mail.commit import Observation
from services.processor.mail.context import MailboxContext
from services.processor.mail.gmail_resync import TimeReconciliation
from services.processor.mail.gmail_settling import HistoryCursor, after_read
from services.processor.mail.history_records import DRAFT, Trail, chunks, kinds_of, record_id, trails
from services.processor.mail.origin import Origin
from services.processor.mail.sources.findings import Finding, Found, Missing
from services.processor.mail.sources.gmail import GmailMailbox, HistoryBehindError
from services.processor.mail.state import NOTIFICATION, UPDATED, MessageState, ReportedChange, State
from services.processor.mail.store import facts
from services.processor.mailbox.failures import Remedy, SourceError, refused_once
from services.processor.mailbox.provider_http import JSON
from services.processor.mailbox.store import row_changes
from services.processor.mailbox.store.row_changes import RowChange
from services.processor.metrics import CURSORS_REFUSED, STEP_SECONDS
from services.providers.cursors import CursorState, cursor_state

logger = structlog.get_logger(__name__)


async def read_history(
    context: MailboxContext, gmail: GmailMailbox, origin: Origin, since: int | None = None
) -> int | None:
    """Read history to its end, from the cursor or from an older id.

    Each read begins at the same id until another read has confirmed the end; see `gmail_settling`. Messages whose
    stored state already has a record's change are not fetched again.

    Args:
        context: The lease.
        gmail: The mailbox at Gmail.
        origin: The reason for the read.
        since: An id from before the cursor; None for the cursor.

    Returns:
        The history id that the read reached. None when there is no cursor, or Gmail no longer knows the id.

    Raises:
        SourceError: Any other failure of the whole mailbox.
    """
    start, token = since or context.mailbox.history_id, ""
    if start is None:
        return None
    began_at, newest = context.clock.now(), 0
    while True:
        try:
            with STEP_SECONDS.labels("history").time():
                page = await gmail.history(start, token, context.settings.page_size)
        except SourceError as exc:
            await _check_cursor(context, exc)
            logger.warning("history cursor lost", tenant_id=context.tenant_id, detail=exc.detail)
            return None
        newest = max(newest, *(record_id(record) for record in page.records), 0)
        token = page.next_token
        *stretches, last = [*chunks(page.records, context.settings.commit_messages)] or [()]
        present = max(newest, page.history_id)
        for records in stretches:
            await _process_stretch(context, gmail, records, origin, present)
        if not token:
            return await _end(context, gmail, origin, last, _End(newest, page.history_id, began_at))
        await _process_stretch(context, gmail, last, origin, present)


async def _check_cursor(context: MailboxContext, error: SourceError) -> None:
    """Return when a failure means that the cursor is lost; count the first refusal without a known word.

    Raises:
        SourceError: The cursor is kept: the failure concerns something else, or the refusal has to be confirmed.
    """
    refusals = context.mailbox.cursor_refusals
    state = cursor_state(error.meaning, refusals)
    is_lost = error.remedy is Remedy.CURSOR_LOST or state is CursorState.LOST
    if (not is_lost and state is CursorState.VALID) or _may_lag(context, error):
        raise error
    if is_lost:
        return
    await context.change(row_changes.cursor_refusals(refusals + 1))
    CURSORS_REFUSED.labels(context.tenant.provider).inc()
    logger.warning("history cursor refused", tenant_id=context.tenant_id, detail=error.detail)
    raise refused_once(error, "history id") from error


def _may_lag(context: MailboxContext, error: SourceError) -> bool:
    """Return whether history ends below a cursor that is younger than history's lag: a copy has not caught up."""
    resync = TimeReconciliation.of(context.mailbox.resync)  # it has set a cursor from when it began
    times = (context.mailbox.caught_up_at or context.mailbox.covered_from, resync and resync.started_at)
    settle = timedelta(seconds=context.settings.gmail_settle_seconds)
    is_fresh = any(context.clock.now() - time < settle for time in times if time)
    return is_fresh and isinstance(error, HistoryBehindError)


@dataclass(frozen=True)
class _End:
    """The end of history, as a read found it.

    Args:
        newest_record: The id of the newest record; 0 when there was none.
        claimed: The history id of the mailbox that the last page named.
        began_at: When the read began.
    """

    newest_record: int
    claimed: int
    began_at: datetime


async def _end(context: MailboxContext, gmail: GmailMailbox, origin: Origin, records: Sequence[JSON], end: _End) -> int:
    """Process the last stretch, store the cursor with its messages, and return the id that the read reached."""
    mailbox, began_at = context.mailbox, end.began_at
    before = HistoryCursor(mailbox.history_id or 0, mailbox.history_claim, mailbox.history_claimed_at)
    settle = timedelta(seconds=context.settings.gmail_settle_seconds)
    cursor = after_read(before, newest_record=end.newest_record, claimed=end.claimed, began_at=began_at, settle=settle)
    at_the_end = row_changes.history_read(
        cursor.history_id, cursor.claim, cursor.claimed_at, cursor.due_at, caught_up_at=began_at
    )
    await _process_stretch(context, gmail, records, origin, max(end.newest_record, end.claimed), at_the_end)
    context.mailbox = replace(
        mailbox,
        history_id=cursor.history_id,
        history_claim=cursor.claim,
        history_claimed_at=cursor.claimed_at,
        history_due_at=cursor.due_at,
        cursor_refusals=0,
        caught_up_at=began_at,
    )
    return max(end.claimed, end.newest_record, cursor.claim or 0, cursor.history_id)


async def _process_stretch(
    context: MailboxContext,
    gmail: GmailMailbox,
    records: Sequence[JSON],
    origin: Origin,
    present: int,
    also: RowChange | None = None,
) -> None:
    """Fetch the messages of a stretch and commit them. A record that is read again makes no second event.

    Args:
        context: The lease.
        gmail: The mailbox at Gmail.
        records: The stretch.
        origin: The reason for the read.
        present: The mailbox's history id, as far as the read knows it.
        also: A change of the mailbox's row that is committed with the messages, when all of them were fetched.

    Raises:
        SourceError: A failure of the whole mailbox; the messages fetched before it are committed.
    """
    followed = trails(records)
    ids = [trail.message_id for trail in followed]
    with STEP_SECONDS.labels("known").time():
        async with context.transactions.reading() as connection:
            found = await facts.read(connection, context.tenant_id, ids)
    known, waiting = found.states, found.lookups
    watched = None if context.coverage.is_all_mail else context.coverage.label_ids
    wanted = [trail for trail in followed if _is_wanted(context, trail, known, waiting, watched, present)]
    fetched = await gmail.fetch([trail.message_id for trail in wanted if not trail.was_deleted])
    observations = []
    for trail in wanted:
        finding = Missing(is_certain=True) if trail.was_deleted else fetched.findings.get(trail.message_id)
        reported = finding and _reported(context, trail, finding, known.get(trail.message_id), watched, origin)
        if finding and reported:
            observations.append(Observation(reported, finding))
    also = also if fetched.failure is None else None
    if observations:
        await context.commit(observations, also)
    elif also is not None:
        await context.change(also)
    if fetched.failure is not None:
        raise fetched.failure


def _is_wanted(
    context: MailboxContext,
    trail: Trail,
    known: Mapping[str, MessageState],
    waiting: Mapping[str, ReportedChange],
    watched: frozenset[str] | None,
    present: int,
) -> bool:
    """Return whether a message has to be inspected because of its trail."""
    state, lookup = known.get(trail.message_id), waiting.get(trail.message_id)
    is_read = _is_known(trail, state, present) or _is_waiting(trail, lookup, present)
    if is_read or not _concerns(trail, state, watched):
        return False
    # Nothing is recorded about a draft that makes no event, so each read of its record would fetch it again.
    return state is not None or lookup is not None or not _is_silent_draft(context, trail)


def _concerns(trail: Trail, known: MessageState | None, watched: frozenset[str] | None) -> bool:
    """Return whether a message needs a fetch: one that is unknown and touches no watched label does not."""
    if known is not None or watched is None:
        return True
    if trail.labels is None:
        return True
    touched = frozenset[str]().union(*(added | removed for added, removed in trail.steps))
    return bool((trail.labels | touched) & watched)


def _is_known(trail: Trail, known: MessageState | None, present: int) -> bool:
    """Return whether the stored state has the change already: the record was read before, or the fetch was newer."""
    if known is None:
        return False
    is_read = _has(known.version, trail, present)
    # The stretch of a message that is gone may end before the record of its deletion.
    return is_read or trail.was_deleted if known.state is State.DELETED else is_read and not trail.was_deleted


def _has(version: str, trail: Trail, present: int) -> bool:
    """Return whether a stored version has a record's change.

    A version above the mailbox's present id is from before its history began again, and says nothing about the record.
    """
    return version.isdecimal() and trail.history_id <= int(version) <= present


def _is_waiting(trail: Trail, lookup: ReportedChange | None, present: int) -> bool:
    """Return whether the record was read before and the message waits for its lookup, which has a time of its own."""
    return lookup is not None and _has(lookup.version, trail, present) and not trail.was_deleted


def _is_silent_draft(context: MailboxContext, trail: Trail) -> bool:
    return DRAFT in (trail.labels or ()) and not context.coverage.has_draft_events


def _reported(
    context: MailboxContext,
    trail: Trail,
    finding: Finding,
    known: MessageState | None,
    watched: frozenset[str] | None,
    origin: Origin,
) -> ReportedChange | None:
    labels = frozenset(finding.mapped.label_ids) if isinstance(finding, Found) else None
    kinds, was_watched = kinds_of(trail, watched, labels)
    if known is not None:
        kinds |= {UPDATED}
    elif not kinds - ({"deleted"} if not was_watched else set()):
        return None
    there = labels or trail.labels or (known.label_ids if known else ())
    return ReportedChange(
        trail.message_id,
        kinds,
        origin.received_at,
        origin.correlation_id,
        origin.source,
        context.coverage.covering("", there) if origin.source == NOTIFICATION else (),
        str(trail.history_id),
        was_watched=was_watched or known is not None,
    )
