"""Reconcile a Microsoft mailbox by Graph's delta, folder by folder."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum

import structlog

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from services.meshkit import db
from services.processor.mail.context import MailboxContext
from services.processor.mail.coverage import Coverage
from services.processor.mail.origin import Origin
from services.processor.mail.sources.graph import DeltaPage, GraphMailbox
from services.processor.mail.state import (
    CREATED,
    DELETED,
    RECONCILIATION,
    UNSENT,
    UPDATED,
    MessageState,
    ReportedChange,
    State,
)
from services.processor.mail.store import folders, messages
from services.processor.mail.store.folders import FolderCursor
from services.processor.mailbox.failures import Remedy, SourceError, narrowed
from services.processor.mailbox.provider_http import JSON
from services.processor.metrics import FAILURES
from services.providers.cursors import CursorState, cursor_state
from services.providers.names import MS365

logger = structlog.get_logger(__name__)


class Round(Enum):
    """The state of a round over all folders."""

    PAUSED = "paused"
    """Its time is over; it continues later."""
    INCOMPLETE = "incomplete"
    """It is over, without a folder that is refused; the next round retries that folder."""
    COMPLETE = "done"
    """Every folder was compared."""


async def reconcile(context: MailboxContext, graph: GraphMailbox, item: item_pb2.InboxItem) -> Round:
    """Reconcile the mailbox, for a bounded time: the list of folders when all mail is watched, then each folder.

    Raises:
        SourceError: A failure of the whole mailbox.
    """
    deadline = time.monotonic() + context.settings.slice_seconds
    asked_at = item.received_at.ToDatetime(UTC)
    origin = Origin.of(item, RECONCILIATION)
    failed: SourceError | None = None
    for cursor in await _watched(context, graph):
        if cursor.completed_at is not None and cursor.completed_at >= asked_at:
            continue
        try:
            if not await _compare(context, graph, cursor, origin, deadline, asked_at, refusals=item.attempts - 1):
                return Round.PAUSED
        except SourceError as exc:
            failed = await _folder_failed(context, graph, exc)
    if failed is not None and item.attempts < context.settings.fetch_attempts:
        raise failed
    return Round.COMPLETE if failed is None else Round.INCOMPLETE


async def _folder_failed(context: MailboxContext, graph: GraphMailbox, error: SourceError) -> SourceError:
    """Note the failure of one folder, which delays no other. After some attempts the next reconciliation retries it.

    Raises:
        SourceError: The failure of the whole mailbox.
    """
    await graph.scope.check(error)
    failed = narrowed(error)
    FAILURES.labels(MS365, "folder", failed.reason).inc()
    logger.warning("folder not reconciled", tenant_id=context.tenant_id, error=failed.reason, detail=failed.detail)
    return failed


async def _watched(context: MailboxContext, graph: GraphMailbox) -> list[FolderCursor]:
    """Return the folders to reconcile, each with its progress."""
    if context.coverage.is_all_mail and context.lease.watches:
        ids = await graph.folders()
    else:
        named = {watch.folder_id for watch in context.lease.watches}
        ids = [folder_id for name in sorted(named) if (folder_id := context.coverage.folders.get(name, name))]

    async def add(connection: db.Connection) -> None:
        for folder_id in ids:
            await folders.add(connection, context.tenant_id, folder_id, "")

    await context.note(add)
    async with context.transactions.reading() as connection:
        known = {cursor.folder_id: cursor for cursor in await folders.load(connection, context.tenant_id)}
    return [known[folder_id] for folder_id in ids]


async def _compare(
    context: MailboxContext,
    graph: GraphMailbox,
    cursor: FolderCursor,
    origin: Origin,
    deadline: float,
    asked_at: datetime,
    *,
    refusals: int,
) -> bool:
    """Read a folder's delta round to its end, or until the time is over.

    A round that an earlier request began does not answer this one: a page that it has read may have changed since, and
    a listing leaves such a change to the next round. The next round follows at once.

    A link is Graph's own. One that is refused with an unknown word is given up when it is refused again.
    """
    has_restarted = False
    is_earlier = not cursor.is_complete and cursor.round_started_at < asked_at
    if cursor.is_complete:
        cursor = replace(cursor, round_started_at=context.clock.now())
    while True:
        try:
            page = await graph.delta(cursor.folder_id, cursor.link, context.settings.page_size)
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING and not cursor.link:
                return await _gone(context, cursor)
            if not cursor.link or has_restarted or not _is_lost(exc, refusals):
                raise
            cursor, has_restarted, is_earlier = await _restarted(context, cursor, exc), True, False
            continue
        await _process_page(context, graph, cursor, page, origin)
        if page.is_last:
            await _complete(context, graph, cursor, page.link, origin)
            if not is_earlier:
                return True
            cursor, is_earlier = _following(context, cursor, page.link), False
        else:
            cursor = await _moved(context, cursor, page.link)
        if time.monotonic() > deadline:
            return False


def _is_lost(error: SourceError, refusals: int) -> bool:
    """Return whether a stored link is given up; one that is not found tells by a new round whether its folder is gone.

    Args:
        error: The answer to the link.
        refusals: The failed attempts before this one. Another cause among them costs a listing too early, and nothing
            else.
    """
    return error.remedy is Remedy.MISSING or cursor_state(error.meaning, refusals) is CursorState.LOST


async def _restarted(context: MailboxContext, cursor: FolderCursor, error: SourceError) -> FolderCursor:
    async def note(connection: db.Connection) -> None:
        await folders.restart(connection, context.tenant_id, cursor.folder_id)

    logger.warning("delta cursor lost", tenant_id=context.tenant_id, error=error.reason, detail=error.detail)
    await context.note(note)
    return replace(cursor, link="", is_full=True, round_started_at=context.clock.now())


def _following(context: MailboxContext, cursor: FolderCursor, link: str) -> FolderCursor:
    return replace(cursor, link=link, is_full=False, is_complete=True, round_started_at=context.clock.now())


async def _moved(context: MailboxContext, cursor: FolderCursor, link: str) -> FolderCursor:
    async def note(connection: db.Connection) -> None:
        await folders.move(connection, context.tenant_id, cursor.folder_id, link, cursor.round_started_at)

    await context.note(note)
    return replace(cursor, link=link)


async def _process_page(
    context: MailboxContext, graph: GraphMailbox, cursor: FolderCursor, page: DeltaPage, origin: Origin
) -> None:
    """Fetch the messages that differ from their known state; only record drafts, and those from before coverage."""
    entries = list({str(entry["id"]): entry for entry in page.entries}.values())  # a page may repeat a message
    ids = [str(entry["id"]) for entry in entries]
    async with context.transactions.reading() as connection:
        known = await messages.load(connection, context.tenant_id, ids)
    recorded = [_known(entry) for entry in entries if _is_only_recorded(entry, known, context.coverage, cursor)]
    recorded_ids = {message.message_id for message in recorded}
    changes = []
    for entry in entries:
        kind = _kind(entry, known.get(str(entry["id"])), context.coverage)
        if kind and str(entry["id"]) not in recorded_ids:
            changes.append(
                ReportedChange(
                    str(entry["id"]), frozenset({kind}), origin.received_at, origin.correlation_id, RECONCILIATION
                )
            )

    async def note(connection: db.Connection) -> None:
        await messages.record(connection, context.tenant_id, recorded)
        if cursor.is_full:
            await messages.mark_seen(connection, context.tenant_id, list(known))

    await context.note(note)
    await _look(context, graph, changes)


async def _look(context: MailboxContext, graph: GraphMailbox, changes: Sequence[ReportedChange]) -> None:
    step = context.settings.commit_messages
    for begin in range(0, len(changes), step):
        await context.fetch_and_commit_all(graph, changes[begin : begin + step])


async def _look_for_gone(context: MailboxContext, graph: GraphMailbox, cursor: FolderCursor, origin: Origin) -> None:
    """After a listing from the start: look up the folder's known messages that it lacked; they moved or are gone.

    Also after the first one: a notification may have reported a mail before it, and that of its deletion may be lost.
    """
    after = ""
    while True:
        async with context.transactions.reading() as connection:
            ids = await messages.unseen(
                connection,
                context.tenant_id,
                cursor.folder_id,
                cursor.round_started_at,
                after,
                context.settings.commit_messages,
            )
        if not ids:
            return
        await _look(context, graph, [_gone_hint(message_id, origin) for message_id in ids])
        after = ids[-1]


async def _complete(
    context: MailboxContext, graph: GraphMailbox, cursor: FolderCursor, link: str, origin: Origin
) -> None:
    if cursor.is_full:
        await _look_for_gone(context, graph, cursor, origin)

    async def note(connection: db.Connection) -> None:
        await folders.complete(connection, context.tenant_id, cursor.folder_id, link, cursor.round_started_at)

    await context.note(note)
    listed = frozenset({*context.coverage.listed, cursor.folder_id})
    context.coverage = replace(context.coverage, listed=listed)


async def _gone(context: MailboxContext, cursor: FolderCursor) -> bool:
    """Handle a deleted folder: its messages are reported from their new folders."""
    logger.info("folder deleted", tenant_id=context.tenant_id)
    await context.note(lambda connection: folders.forget(connection, context.tenant_id, [cursor.folder_id]))
    return True


def _gone_hint(message_id: str, origin: Origin) -> ReportedChange:
    return ReportedChange(message_id, frozenset({DELETED}), origin.received_at, origin.correlation_id, RECONCILIATION)


def _kind(entry: JSON, known: MessageState | None, coverage: Coverage) -> str:
    """Return the kind of change that an entry reports; empty when it reports nothing new."""
    if "@removed" in entry:
        return DELETED if known is not None else ""
    if known is None:
        return CREATED
    if _is_silent_draft(entry, coverage) and (known.generation == UNSENT or known.state is State.ANNOUNCED):
        return ""
    return "" if entry.get("changeKey") == known.version else UPDATED


def _is_only_recorded(entry: JSON, known: dict[str, MessageState], coverage: Coverage, cursor: FolderCursor) -> bool:
    if str(entry["id"]) in known or "@removed" in entry:
        return False
    if _is_silent_draft(entry, coverage):
        return True
    if cursor.has_baseline:
        return False
    return coverage.is_older(cursor.folder_id, _received_at(entry))


def _is_silent_draft(entry: JSON, coverage: Coverage) -> bool:
    return entry.get("isDraft") is True and not coverage.has_draft_events


def _known(entry: JSON) -> MessageState:
    return MessageState(
        str(entry["id"]),
        generation=UNSENT if entry.get("isDraft") is True else 1,
        version=str(entry.get("changeKey") or ""),
        folder_id=str(entry.get("parentFolderId") or ""),
        mail_received_at=_received_at(entry),
    )


def _received_at(entry: JSON) -> datetime | None:
    text = str(entry.get("receivedDateTime") or "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
