"""Reconcile a Google mailbox: by history, and by time when Gmail no longer knows the cursor."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.meshkit import db
from services.processor.mail.commit import Observation
from services.processor.mail.context import MailboxContext
from services.processor.mail.gmail_history import read_history
from services.processor.mail.origin import Origin
from services.processor.mail.sources.findings import Found
from services.processor.mail.sources.gmail import GmailMailbox
from services.processor.mail.state import LISTED, RECONCILIATION, UPDATED, ReportedChange
from services.processor.mail.store import messages
from services.processor.mailbox.store import mailboxes

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TimeReconciliation:
    """The progress of a reconciliation by time; stored with the mailbox, so that any worker can continue it.

    Args:
        target: The history id from before it began: the cursor when it is done.
        since: Only messages received since this time are listed.
        started_at: When it began.
        page_token: The token of the list's next page.
        is_listed: Whether the list is complete; then known messages that it did not have are looked up.
        after: The last message of that second part.
    """

    target: int
    since: datetime
    started_at: datetime
    page_token: str = ""
    is_listed: bool = False
    after: str = ""

    def row(self) -> dict[str, Any]:
        """Return the stored form."""
        return {**self.__dict__, "since": self.since.isoformat(), "started_at": self.started_at.isoformat()}

    @classmethod
    def of(cls, row: dict[str, Any]) -> "TimeReconciliation":
        """Read the stored form."""
        times = {name: datetime.fromisoformat(row[name]) for name in ("since", "started_at")}
        return cls(**{**row, **times})


async def reconcile(context: MailboxContext, gmail: GmailMailbox, item: item_pb2.InboxItem) -> bool:
    """Reconcile the mailbox, for a bounded time.

    Returns:
        True when it is done, False when it has to continue later.

    Raises:
        SourceError: A failure of the whole mailbox.
    """
    origin = Origin.of(item, RECONCILIATION)
    asked = item.reconcile.since.ToDatetime(UTC) if item.reconcile.HasField("since") else None
    if context.mailbox.resync is None and asked is None and await _reread(context, gmail, origin):
        return True
    return await reconcile_by_time(context, gmail, origin, asked) is not None


async def _reread(context: MailboxContext, gmail: GmailMailbox, origin: Origin) -> bool:
    """Read history again from the last reconciliation's cursor, for records that came later than they settle.

    Returns:
        False when Gmail does not know the cursor any more either.
    """
    anchor, cursor = context.mailbox.history_anchor, context.mailbox.history_id
    is_read = anchor is not None and cursor is not None and anchor < cursor
    if not (is_read and await read_history(context, gmail, origin, anchor)) and not await read_history(
        context, gmail, origin
    ):
        return False
    following = context.mailbox.history_id or 0

    async def note(connection: db.Connection) -> None:
        await mailboxes.set_history_anchor(connection, context.tenant_id, following)

    await context.note(note)
    context.mailbox = replace(context.mailbox, history_anchor=following)
    return True


async def reconcile_by_time(
    context: MailboxContext, gmail: GmailMailbox, origin: Origin, since: datetime | None = None
) -> int | None:
    """Reconcile by time: list the messages received since coverage began, or since the cursor was last at the end.

    Returns:
        The history id that was reached at the end. None when it has to continue later.

    Raises:
        SourceError: A failure of the whole mailbox.
    """
    deadline = time.monotonic() + context.settings.slice_seconds
    state = (
        TimeReconciliation.of(context.mailbox.resync) if context.mailbox.resync else await _begin(context, gmail, since)
    )
    while not state.is_listed:
        state = await _list(context, gmail, state, origin)
        if time.monotonic() > deadline:
            return None
    while await _look_for_gone(context, gmail, state, origin):
        assert context.mailbox.resync is not None  # noqa: S101 - just written
        state = TimeReconciliation.of(context.mailbox.resync)
        if time.monotonic() > deadline:
            return None
    return await read_history(context, gmail, origin)


async def _begin(context: MailboxContext, gmail: GmailMailbox, since: datetime | None) -> TimeReconciliation:
    """Read the history id first: changes during the listing are in the history after it."""
    now = context.clock.now()
    target = await gmail.present_history_id()
    overlap = timedelta(seconds=context.settings.overlap_seconds)
    covered = context.mailbox.covered_from or now
    caught_up = context.mailbox.caught_up_at
    begin = since or (max(covered, caught_up - overlap) if caught_up else covered)
    state = TimeReconciliation(target, begin, now)
    await _keep(context, state)
    logger.info("reconciling by time", tenant_id=context.tenant_id, since=begin.isoformat())
    return state


async def _list(
    context: MailboxContext, gmail: GmailMailbox, state: TimeReconciliation, origin: Origin
) -> TimeReconciliation:
    ids, token = await gmail.listed_since(state.since, state.page_token, context.settings.page_size)
    step = context.settings.commit_messages
    for begin in range(0, len(ids), step):
        await _look(context, gmail, ids[begin : begin + step], origin)
    following = replace(state, page_token=token, is_listed=not token)
    await _keep(context, following)
    return following


async def _look(context: MailboxContext, gmail: GmailMailbox, ids: Sequence[str], origin: Origin) -> None:
    """Fetch listed messages; skip those that are unknown and not watched."""
    async with context.transactions.reading() as connection:
        known = await messages.load(connection, context.tenant_id, ids)
    fetched = await gmail.fetch(ids)
    observations = []
    for message_id, finding in fetched.findings.items():
        is_watched = not isinstance(finding, Found) or context.coverage.covers("", finding.mapped.label_ids)
        if message_id in known or is_watched:
            kind = UPDATED if message_id in known else LISTED
            observations.append(Observation(_reported(message_id, kind, origin), finding))

    async def seen(connection: db.Connection) -> None:
        await messages.mark_seen(connection, context.tenant_id, list(fetched.findings))

    await context.commit(observations, seen)
    if fetched.failure is not None:
        raise fetched.failure


async def _look_for_gone(
    context: MailboxContext, gmail: GmailMailbox, state: TimeReconciliation, origin: Origin
) -> bool:
    """Look up known messages that were not listed; end the reconciliation when none is left."""
    async with context.transactions.reading() as connection:
        ids = await messages.received_since(
            connection, context.tenant_id, state.since, state.started_at, state.after, context.settings.commit_messages
        )
    if ids:
        await context.fetch_and_commit_all(gmail, [_reported(message_id, UPDATED, origin) for message_id in ids])
        await _keep(context, replace(state, after=ids[-1]))
        return True

    async def finish(connection: db.Connection) -> None:
        await mailboxes.set_resync(connection, context.tenant_id, None)
        await mailboxes.set_history(connection, context.tenant_id, state.target)
        await mailboxes.set_history_anchor(connection, context.tenant_id, state.target)

    await context.note(finish)
    end = max(state.target, context.mailbox.history_id or 0)
    context.mailbox = replace(
        context.mailbox,
        resync=None,
        history_id=end,
        history_claim=None,
        history_claimed_at=None,
        history_due_at=None,
        history_anchor=state.target,
    )
    return False


async def _keep(context: MailboxContext, state: TimeReconciliation) -> None:
    row = state.row()

    async def note(connection: db.Connection) -> None:
        await mailboxes.set_resync(connection, context.tenant_id, row)

    await context.note(note)
    context.mailbox = replace(context.mailbox, resync=row)


def _reported(message_id: str, kind: str, origin: Origin) -> ReportedChange:
    return ReportedChange(message_id, frozenset({kind}), origin.received_at, origin.correlation_id, RECONCILIATION)
