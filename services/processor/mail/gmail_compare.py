"""The slow part of a comparison after a lost Gmail cursor: the whole mailbox, behind live work, and once more later.

A date of receipt is no time of change, and a list is no proof. So every listed message that could have changed since
the lost cursor is checked by its own history id whatever its date, every known message that no list has is looked up,
and a second comparison finds mail that the lists did not know in the first.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.processor.mail.context import MailboxContext
from services.processor.mail.gmail_listing import next_page
from services.processor.mail.gmail_resync import TimeReconciliation, keep, look, reported, stretches
from services.processor.mail.origin import Origin
from services.processor.mail.sources.gmail import UNREAD_VERSION, GmailMailbox
from services.processor.mail.state import CREATED, LISTED, UPDATED, MessageState, State
from services.processor.mail.store import messages
from services.processor.stream.publish import EventDraft, publish

logger = structlog.get_logger(__name__)

_PAGE = 100
_UNITS_OF_A_MESSAGE = 80
"""Twice the units of checking and fetching a message: a page takes at most half of a minute's quota."""
_PAUSE = timedelta(seconds=1)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


async def compare(context: MailboxContext, gmail: GmailMailbox, origin: Origin, deadline: float) -> None:
    """Continue the comparison until the deadline, while the mailbox's quota has room, and store when it continues.

    Raises:
        SourceError: A failure of the whole mailbox; the comparison continues later from the last step.
    """
    state = TimeReconciliation.of(context.mailbox.resync)
    while state is not None and not _must_wait(context, gmail, state) and time.monotonic() < deadline:
        state = await _step(context, gmail, state, origin)
    if state is not None:
        pause = max(_PAUSE, timedelta(seconds=gmail.seconds_to_spare_quota))
        await keep(context, state, max(context.clock.now() + pause, state.not_before or _BEGINNING))


def _must_wait(context: MailboxContext, gmail: GmailMailbox, state: TimeReconciliation) -> bool:
    is_early = state.not_before is not None and state.not_before > context.clock.now()
    return is_early or gmail.seconds_to_spare_quota > 0


async def _step(
    context: MailboxContext, gmail: GmailMailbox, state: TimeReconciliation, origin: Origin
) -> TimeReconciliation | None:
    if not state.is_listed:
        following: TimeReconciliation | None = await list_recent(context, gmail, state, origin)
    elif state.lost and not state.is_compared:
        following = await _compare_page(context, gmail, state, origin)
    elif state.round == 1:
        following = await _look_for_gone(context, gmail, state, origin)
    else:
        following = None
    await keep(context, following)
    return following


async def list_recent(
    context: MailboxContext, gmail: GmailMailbox, state: TimeReconciliation, origin: Origin
) -> TimeReconciliation:
    """Fetch a page of the recent mail; in the second comparison only mail that is not known."""
    ids, following = await next_page(context, gmail, state, state.since, context.settings.page_size)
    for stretch in stretches(ids, context.settings.commit_messages):
        async with context.transactions.reading() as connection:
            known = await messages.load(connection, context.tenant_id, stretch)
        wanted = [message_id for message_id in stretch if state.round == 1 or message_id not in known]
        kinds = {message_id: {UPDATED if message_id in known else LISTED} for message_id in wanted}
        await look(context, gmail, kinds, known, origin)
    return replace(following, is_listed=not following.page_token)


async def _compare_page(
    context: MailboxContext, gmail: GmailMailbox, state: TimeReconciliation, origin: Origin
) -> TimeReconciliation:
    """Check a page of the whole mailbox: which messages changed after the lost cursor, whatever their date."""
    size = max(1, min(_PAGE, context.settings.gmail_units_per_minute // _UNITS_OF_A_MESSAGE))
    ids, state = await next_page(context, gmail, state, None, size)
    async with context.transactions.reading() as connection:
        known = await messages.load(connection, context.tenant_id, ids)
        await messages.mark_seen(connection, context.tenant_id, list(known))
    doubtful = [message_id for message_id in ids if _is_doubtful(known.get(message_id), state)]
    checked = doubtful[: max(0, context.settings.gmail_compare_messages - state.checked)]
    versions = await gmail.versions(checked)
    changed = [one for one in checked if _is_changed(one, versions.get(one), known.get(one), state)]
    for stretch in stretches(changed, context.settings.commit_messages):
        await look(context, gmail, {one: _kinds(one, known, state) for one in stretch}, known, origin)
    return replace(
        state,
        is_compared=not state.page_token,
        checked=state.checked + len(checked),
        is_cut=state.is_cut or len(doubtful) > len(checked),
    )


def _is_doubtful(known: MessageState | None, state: TimeReconciliation) -> bool:
    """Return whether a listed message may have changed unseen; known recent ones were fetched from the other list."""
    if known is None:
        return True
    is_recent = known.mail_received_at is not None and known.mail_received_at >= state.since
    return state.round == 1 and known.state is not State.DELETED and not is_recent


def _is_changed(message_id: str, version: int | None, known: MessageState | None, state: TimeReconciliation) -> bool:
    """Return whether a listed message changed; a known one whose version cannot be read is fetched with all care.

    An unknown one whose version cannot be read is skipped, for it may be unchanged mail from before coverage. The
    second comparison checks it once more.
    """
    if version is None:
        return known is not None
    if version == UNREAD_VERSION and known is None:
        return _is_new(message_id, state)
    before = int(known.version) if known is not None and known.version.isdecimal() else state.lost
    if state.target >= state.lost:
        return version > before
    # The mailbox's history began again lower: ids from before and after cannot be ordered.
    return version != before if known is not None else _is_new(message_id, state)


def _kinds(message_id: str, known: Mapping[str, MessageState], state: TimeReconciliation) -> set[str]:
    """Tell mail that came under an old date from an old mail that changed: Gmail's ids grow with the arrival."""
    return {CREATED if message_id not in known and _is_new(message_id, state) else UPDATED}


def _is_new(message_id: str, state: TimeReconciliation) -> bool:
    first = state.first_id
    return bool(first) and (len(message_id), message_id) > (len(first), first)


async def _look_for_gone(
    context: MailboxContext, gmail: GmailMailbox, state: TimeReconciliation, origin: Origin
) -> TimeReconciliation:
    """Look up known messages that no list had; begin the second comparison when none is left."""
    since = _BEGINNING if state.lost else state.since
    async with context.transactions.reading() as connection:
        ids = await messages.received_since(
            connection, context.tenant_id, since, state.started_at, state.after, context.settings.commit_messages
        )
    if ids:
        await context.fetch_and_commit_all(gmail, [reported(one, {UPDATED}, origin) for one in ids])
        return replace(state, after=ids[-1])
    if state.lost:
        await _tell(context, state, origin)
    now = context.clock.now()
    later = now + timedelta(seconds=context.settings.gmail_second_comparison_seconds)
    return replace(
        state, round=2, started_at=now, not_before=later, page_token="", is_listed=False, is_compared=False, checked=0
    )


async def _tell(context: MailboxContext, state: TimeReconciliation, origin: Origin) -> None:
    """Publish that the mailbox was compared because its history was lost, and whether the comparison was complete."""
    tenant, reason = context.tenant, "COMPARISON_CUT" if state.is_cut else "COMPARISON_COMPLETE"
    logger.warning("history was lost", tenant_id=context.tenant_id, checked=state.checked, is_cut=state.is_cut)
    event = event_pb2.TenantEvent(
        provider=tenant.provider,
        tenant_id=tenant.tenant_id,
        external_tenant_id=tenant.external_tenant_id,
        user_id=tenant.user_id,
        event_type="tenant.history_lost",
        correlation_id=origin.correlation_id,
        status_reason=reason,
        status_detail=_detail(state),
    )
    event.received_at.FromDatetime(context.clock.now())
    draft = EventDraft(tenant=event, change_id=f"history {state.lost} {state.started_at.isoformat()}")

    async def note(connection: db.Connection) -> None:
        await publish(connection, [draft])

    await context.note(note)


def _detail(state: TimeReconciliation) -> str:
    span = f"between {state.since:%Y-%m-%dT%H:%M:%SZ} and {state.started_at:%Y-%m-%dT%H:%M:%SZ}"
    missed = (
        f"Mail that came and was deleted {span}, and all but the last of several changes of a mail, are not reported."
    )
    if not state.is_cut:
        return missed
    return f"{missed} Only {state.checked} older mails were checked for changes: list the mailbox to find the others."
