"""Read the lists of a comparison page by page; a page token that Gmail refuses begins its list again."""

from dataclasses import replace
from datetime import datetime

import structlog

from services.processor.mail.context import MailboxContext
from services.processor.mail.gmail_resync import TimeReconciliation, keep
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mailbox.failures import SourceError, refused_once
from services.processor.metrics import CURSORS_REFUSED
from services.providers.cursors import CursorState, cursor_state

logger = structlog.get_logger(__name__)


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
        The ids, and the progress after the page. Its token is empty at the end of the list.

    Raises:
        SourceError: A failure of the whole mailbox, or the first refusal of the token.
    """
    try:
        ids, token = await gmail.listed_since(since, state.page_token, size)
    except SourceError as exc:
        state = await _restarted(context, state, exc)
        ids, token = await gmail.listed_since(since, "", size)
    return ids, replace(state, page_token=token, refusals=0)


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
