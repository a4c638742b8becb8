"""Turn Gmail's history into events, and move the cursor together with them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from services.meshkit import db
from services.processor.mail.commit import Observation
from services.processor.mail.context import MailboxContext
from services.processor.mail.history_records import DRAFT, Trail, chunks, kinds_of, record_id, trails
from services.processor.mail.origin import Origin
from services.processor.mail.sources.findings import Finding, Found, Missing
from services.processor.mail.sources.gmail import GmailMailbox, HistoryPage
from services.processor.mail.state import NOTIFICATION, UPDATED, MessageState, ReportedChange
from services.processor.mail.store import messages
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.provider_http import JSON
from services.processor.mailbox.store import mailboxes
from services.processor.metrics import STEP_SECONDS

logger = structlog.get_logger(__name__)


async def read_history(context: MailboxContext, gmail: GmailMailbox, origin: Origin) -> bool:
    """Read history from the cursor to its end; the cursor moves with each stretch that is committed.

    Returns:
        False when there is no cursor, or Gmail no longer knows it.

    Raises:
        SourceError: Any other failure of the whole mailbox.
    """
    start, token = context.mailbox.history_id, ""
    if start is None:
        return False
    while True:
        began_at = context.clock.now()
        try:
            with STEP_SECONDS.labels("history").time():
                page = await gmail.history(start, token, context.settings.page_size)
        except SourceError as exc:
            if exc.remedy is not Remedy.CURSOR_LOST:
                raise
            logger.warning("history cursor lost", tenant_id=context.tenant_id)
            return False
        await _process_page(context, gmail, page, origin, began_at)
        token = page.next_token
        if not token:
            return True


async def _process_page(
    context: MailboxContext, gmail: GmailMailbox, page: HistoryPage, origin: Origin, began_at: datetime
) -> None:
    for records in chunks(page.records, context.settings.commit_messages):
        await _process_stretch(context, gmail, records, origin)
    if page.next_token:
        return
    end = max(page.history_id, context.mailbox.history_id or 0)

    async def at_the_end(connection: db.Connection) -> None:
        await mailboxes.set_history(connection, context.tenant_id, end)
        await mailboxes.set_caught_up(connection, context.tenant_id, began_at)

    await context.note(at_the_end)
    context.mailbox = replace(context.mailbox, history_id=end, caught_up_at=began_at)


async def _process_stretch(
    context: MailboxContext, gmail: GmailMailbox, records: Sequence[JSON], origin: Origin
) -> None:
    """Fetch the messages of a stretch and commit them together with the cursor after it."""
    followed = trails(records)
    with STEP_SECONDS.labels("known").time():
        async with context.transactions.reading() as connection:
            known = await messages.load(connection, context.tenant_id, [trail.message_id for trail in followed])
    watched = None if context.coverage.is_all_mail else context.coverage.label_ids
    wanted = [trail for trail in followed if _concerns(trail, known.get(trail.message_id), watched)]
    fetched = await gmail.fetch([trail.message_id for trail in wanted if not trail.was_deleted])
    if fetched.failure is not None:
        raise fetched.failure
    observations = []
    for trail in wanted:
        finding = fetched.findings.get(trail.message_id, Missing(is_certain=True))
        reported = _reported(context, trail, finding, known.get(trail.message_id), watched, origin)
        if reported is not None:
            observations.append(Observation(reported, finding))
    end = record_id(records[-1])

    async def move(connection: db.Connection) -> None:
        await mailboxes.set_history(connection, context.tenant_id, end)

    await context.commit(observations, move)
    context.mailbox = replace(context.mailbox, history_id=max(end, context.mailbox.history_id or 0))


def _concerns(trail: Trail, known: MessageState | None, watched: frozenset[str] | None) -> bool:
    """Return whether a message needs a fetch: one that is unknown and touches no watched label does not."""
    if known is not None or watched is None:
        return True
    if trail.labels is None:
        return True
    touched = frozenset[str]().union(*(added | removed for added, removed in trail.steps))
    return bool((trail.labels | touched) & watched)


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
    elif not kinds - ({"deleted"} if not was_watched else set()) or _is_silent_draft(context, trail):
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
