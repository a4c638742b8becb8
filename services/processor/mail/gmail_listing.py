"""Read the lists of a comparison page by page.

A page token that Gmail refuses begins its list again. A list that Gmail refuses for good is left out, so that it stops
neither the comparison nor the mailbox's other work.
"""

from dataclasses import replace
from datetime import datetime

import structlog

from services.processor.mail.context import MailboxContext
from services.processor.mail.gmail_resync import TimeReconciliation, keep
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mailbox.failures import Remedy, SourceError, refused_once
from services.processor.metrics import CURSORS_REFUSED, FAILURES
from services.providers.cursors import CursorState, cursor_state

logger = structlog.get_logger(__name__)

_FINAL = frozenset({Remedy.PERMANENT, Remedy.MISSING})


async def next_page(
    context: MailboxContext, gmail: GmailMailbox, state: TimeReconciliation, since: datetime | None, size: int
) -> tuple[list[str], TimeReconciliation]:
    """Read the next page of the list under way.

    Args:
        context: The lease.
        gmail: The mailbox at Gmail.
        state: The progress, with the token of the page.
        since: The list has messages received since this time; None for all.
        size: The largest number of ids.

    Returns:
        The ids, and the progress after the page. Its token is empty at the end of the list, and after a list that
        Gmail refused several times: the comparison is cut then.

    Raises:
        SourceError: A failure of the whole mailbox, or a refusal that has to be confirmed.
    """
    try:
        ids, token = await gmail.listed_since(since, state.page_token, size)
    except SourceError as exc:
        if not state.page_token and exc.remedy in _FINAL:
            return [], await _left_out(context, state, exc)
        state = await _restarted(context, state, exc)
        ids, token = await gmail.listed_since(since, "", size)
    return ids, replace(state, page_token=token, refusals=0)


async def _left_out(context: MailboxContext, state: TimeReconciliation, error: SourceError) -> TimeReconciliation:
    """Count a refusal of the list itself; leave the list out after as many as a message's fetch has attempts.

    Raises:
        SourceError: The refusal has to be confirmed by another attempt later.
    """
    refusals = state.refusals + 1
    if refusals < context.settings.fetch_attempts:
        await keep(context, replace(state, refusals=refusals))
        raise error
    FAILURES.labels(context.tenant.provider, "list", error.reason).inc()
    logger.warning("mail list refused", tenant_id=context.tenant_id, error=error.reason, detail=error.detail)
    return replace(state, page_token="", refusals=0, is_cut=True)


async def _restarted(context: MailboxContext, state: TimeReconciliation, error: SourceError) -> TimeReconciliation:
    """Begin the list again when its token is lost; count the first refusal without a known word.

    Raises:
        SourceError: The token is kept: the failure concerns something else, or the refusal has to be confirmed.
    """
    lost = cursor_state(error.meaning, state.refusals) if state.page_token else CursorState.VALID
    if lost is CursorState.VALID:
        raise error
    CURSORS_REFUSED.labels(context.tenant.provider).inc()
    logger.warning("page token refused", tenant_id=context.tenant_id, error=error.reason, detail=error.detail)
    if lost is CursorState.REFUSED:
        await keep(context, replace(state, refusals=state.refusals + 1))
        raise refused_once(error, "page token") from error
    # The checks are counted from the start of the list, since the messages before the token are checked again.
    begun = replace(state, page_token="", refusals=0, checked=0)
    await keep(context, begun)
    return begun
