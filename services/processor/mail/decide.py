"""Decide the events of a message from the reported change, the finding and the known state: no I/O, one answer.

reported, and found           -> created, updated, enriched, or nothing new
reported, and missing         -> wait a while; then deleted (after created, if it was not announced yet)
reported, but the fetch failed -> retry; after a number of attempts the event goes out without the message
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mailmesh.mail.v1 import event_pb2
from services.processor.mail.coverage import Coverage
from services.processor.mail.field_digests import differing, digests_of
from services.processor.mail.sources.findings import Failed, Finding, Found, Missing
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.state import CREATED, DELETED, LISTED, UNSENT, UPDATED, MessageState, ReportedChange, State
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.retry_policy import RetryPolicy
from services.providers.names import GOOGLEWS

_FIRST_LOOKS_SECONDS = 0.5


@dataclass(frozen=True)
class PendingEvent:
    """One event to be published.

    Args:
        event_type: Such as "mail.created".
        generation: The message's generation.
        version: The provider's version that the event reports.
        mapped: The message; None when it was not fetched or is gone.
        not_enriched: The reason why there is no message.
        change: The fields and places that an update changed.
        enriched_event_id: The event that now gets its message.
    """

    event_type: str
    generation: int
    version: str = ""
    mapped: MappedMessage | None = None
    not_enriched: event_pb2.NotEnriched | None = None
    change: event_pb2.MailChange | None = None
    enriched_event_id: str = ""


@dataclass(frozen=True)
class Decision:
    """The decision about one message.

    Args:
        pending: The events to publish, in their order.
        known: The new state of the message; None leaves the state as it is.
        again_at: The time of the next lookup of the message; None when none is needed.
        reported: The change to keep until then.
    """

    pending: tuple[PendingEvent, ...] = ()
    known: MessageState | None = None
    again_at: datetime | None = None
    reported: ReportedChange | None = None


NOTHING = Decision()


def decide(
    reported: ReportedChange,
    finding: Finding,
    known: MessageState | None,
    coverage: Coverage,
    retry_policy: RetryPolicy,
) -> Decision:
    """Decide. The same arguments give the same answer, except for the jitter of waits."""
    match finding:
        case Found(mapped):
            return _found(reported, mapped, known, coverage)
        case Missing(is_certain):
            return _missing(reported, known, coverage, retry_policy, is_certain=is_certain)
        case Failed(error):
            return _failed(reported, error, known, coverage, retry_policy)


def _found(reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage) -> Decision:
    # A draft of ours is a step of a send, and no person wrote it.
    is_silent_draft = mapped.is_draft and (not coverage.has_draft_events or bool(mapped.send_mark))
    if is_silent_draft and not (known and known.open_event_id):
        return _draft(reported, mapped, known, coverage)
    if known is None or known.state is State.DELETED:
        return _first_sight(reported, mapped, known, coverage)
    if known.open_event_id:
        event_to_publish = PendingEvent(
            "mail.enriched", known.generation, mapped.version, mapped, enriched_event_id=known.open_event_id
        )
        return Decision((event_to_publish,), _seen(mapped, known.generation, State.ANNOUNCED, reported))
    if mapped.version and mapped.version == known.version:
        return NOTHING
    if _was_draft(mapped, known):
        return _sent(reported, mapped, known, coverage)
    return _changed(reported, mapped, known, coverage)


def _draft(reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage) -> Decision:
    """Record a draft without an event. At Google each save is another message, so that there is nothing to record."""
    if known is None and coverage.provider != GOOGLEWS:
        return Decision((), _seen(mapped, UNSENT, State.KNOWN, reported))
    if known is None or known.state is State.DELETED:
        return NOTHING
    is_untold = known.state is State.KNOWN and known.generation == 1
    generation = UNSENT if is_untold else known.generation
    return Decision((), replace(known, generation=generation, version=mapped.version, folder_id=mapped.folder_id))


def _was_draft(mapped: MappedMessage, known: MessageState) -> bool:
    """Return whether a message was a draft when it was last seen, also by a release that reported drafts.

    A message that was recorded without its fields has the time of receipt: only sending a draft moves it.
    """
    if mapped.is_draft:
        return False
    if known.generation == UNSENT:
        return True
    if known.digests is not None:
        return "is_draft" in differing(known.digests, digests_of(mapped.message))
    before, now = known.mail_received_at, mapped.received_at
    return known.state is State.KNOWN and before is not None and now is not None and before < now


def _sent(reported: ReportedChange, mapped: MappedMessage, known: MessageState, coverage: Coverage) -> Decision:
    """Announce the mail that a draft became; one that was reported as a draft begins another generation."""
    is_next = known.state is State.ANNOUNCED or known.generation == UNSENT
    generation = known.generation + 1 if is_next else known.generation
    is_covered = coverage.covers(known.folder_id, known.label_ids) or coverage.covers(
        mapped.folder_id, mapped.label_ids
    )
    event_type = next((name for name in ("mail.created", "mail.updated") if is_covered and coverage.allows(name)), "")
    if not event_type:
        return Decision((), _seen(mapped, generation, State.KNOWN, reported))
    change = event_pb2.MailChange() if event_type == "mail.updated" else None
    pending = PendingEvent(event_type, generation, mapped.version, mapped, change=change)
    return Decision((pending,), _seen(mapped, generation, State.ANNOUNCED, reported))


def _first_sight(
    reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage
) -> Decision:
    generation = known.generation + 1 if known else 1
    event_type = _first_event(reported, mapped, known, coverage)
    if not event_type:
        return Decision((), _seen(mapped, generation, State.KNOWN, reported))
    change = event_pb2.MailChange() if event_type == "mail.updated" else None
    event_to_publish = PendingEvent(event_type, generation, mapped.version, mapped, change=change)
    return Decision((event_to_publish,), _seen(mapped, generation, State.ANNOUNCED, reported))


def _first_event(
    reported: ReportedChange, mapped: MappedMessage, known: MessageState | None, coverage: Coverage
) -> str:
    """Return the type of the first event of a generation; empty when there is none to publish."""
    is_older = (
        known is None and CREATED not in reported.kinds and coverage.is_older(mapped.folder_id, mapped.received_at)
    )
    if is_older and reported.kinds == {LISTED}:
        return ""
    if not is_older and coverage.allows("mail.created"):
        return "mail.created"
    is_update = bool(reported.kinds & {UPDATED, DELETED})
    return "mail.updated" if is_update and coverage.allows("mail.updated") else ""


def _changed(reported: ReportedChange, mapped: MappedMessage, known: MessageState, coverage: Coverage) -> Decision:
    after = _seen(mapped, known.generation, State.ANNOUNCED, reported)
    was_covered = coverage.covers(known.folder_id, known.label_ids)
    is_covered = coverage.covers(mapped.folder_id, mapped.label_ids)
    if not (was_covered or is_covered) or not coverage.allows("mail.updated"):
        return Decision((), replace(after, state=known.state))
    change = _change(known, after)
    return Decision((PendingEvent("mail.updated", known.generation, mapped.version, mapped, change=change),), after)


def _change(before: MessageState, after: MessageState) -> event_pb2.MailChange:
    if before.digests is None or after.digests is None:
        return event_pb2.MailChange(previous_folder_id=_other(before.folder_id, after.folder_id))
    old, new = set(before.label_ids), set(after.label_ids)
    return event_pb2.MailChange(
        fields=differing(before.digests, after.digests),
        label_ids_added=sorted(new - old),
        label_ids_removed=sorted(old - new),
        previous_folder_id=_other(before.folder_id, after.folder_id),
    )


def _other(before: str, after: str) -> str:
    return before if before != after else ""


def _missing(
    reported: ReportedChange,
    known: MessageState | None,
    coverage: Coverage,
    retry_policy: RetryPolicy,
    *,
    is_certain: bool,
) -> Decision:
    since = reported.missing_since or retry_policy.now
    if not is_certain and retry_policy.now - since < retry_policy.missing:
        return _process_lookups(
            replace(reported, missing_since=since, reason="MESSAGE_NOT_FOUND"), known, since, retry_policy
        )
    if known is not None and known.state is State.DELETED:
        return NOTHING
    if known is None:
        return _never_seen(reported, coverage)
    gone = (PendingEvent("mail.deleted", known.generation),) if known.generation != UNSENT else ()
    after = replace(known, state=State.DELETED, version=reported.version or known.version, open_event_id="")
    return Decision(_allowed(gone, coverage), after)


def _process_lookups(
    reported: ReportedChange, known: MessageState | None, since: datetime, retry_policy: RetryPolicy
) -> Decision:
    """Look up a new message again soon, since it may appear at any moment; look up a deleted one once, at the end."""
    end = since + retry_policy.missing
    if reported.kinds <= {DELETED} or (
        known is not None and known.state is State.ANNOUNCED and CREATED not in reported.kinds
    ):
        return Decision((), None, end, reported)
    soon = retry_policy.after(reported.attempts, timedelta(seconds=_FIRST_LOOKS_SECONDS))
    return Decision((), None, min(soon, end), replace(reported, attempts=reported.attempts + 1))


def _never_seen(reported: ReportedChange, coverage: Coverage) -> Decision:
    """Publish both events of a message that came and went before it was fetched.

    A message that only a listing or a deletion named may be old.
    """
    deleted = PendingEvent("mail.deleted", 1)
    after = MessageState(reported.message_id, 1, State.DELETED, reported.version)
    if reported.kinds <= {LISTED}:
        return NOTHING
    if reported.kinds <= {DELETED, LISTED} and not _is_surely_new(coverage):
        return Decision(_allowed((deleted,), coverage) if reported.was_watched else (), after)
    why = event_pb2.NotEnriched(
        reason="MESSAGE_NOT_FOUND", detail="The mail was deleted before it could be fetched.",
        attempts=reported.attempts + 1, is_final=True,
    )  # fmt: skip
    created = PendingEvent("mail.created", 1, "", not_enriched=why)
    return Decision(_allowed((created, deleted), coverage), after)


def _is_surely_new(coverage: Coverage) -> bool:
    """Return whether everything watched was listed once: then an unknown message came later."""
    named = [watch.folder_id for watch in coverage.watches if watch.folder_id]
    return (
        coverage.provider != GOOGLEWS
        and bool(coverage.listed)
        and all(coverage.folders.get(name, name) in coverage.listed for name in named)
    )


def _failed(
    reported: ReportedChange,
    error: SourceError,
    known: MessageState | None,
    coverage: Coverage,
    retry_policy: RetryPolicy,
) -> Decision:
    attempts = reported.attempts + 1
    waiting = replace(reported, attempts=attempts, reason=error.reason)
    is_final = error.remedy is Remedy.PERMANENT
    age = retry_policy.now - reported.received_at
    again = (
        None
        if is_final or age > retry_policy.give_up_after + retry_policy.announce_after
        else retry_policy.after(attempts - 1)
    )
    if again is not None and error.retry_after is not None:
        again = max(again, retry_policy.now + error.retry_after)
    is_due = is_final or attempts >= retry_policy.attempts or age >= retry_policy.announce_after
    event_to_publish = _without_message(waiting, error, known, coverage, is_final=is_final) if is_due else None
    if event_to_publish is None:
        return Decision((), None, again, waiting)
    folder = known.folder_id if known else ""
    after = replace(
        known or MessageState(reported.message_id),
        generation=event_to_publish.generation,
        state=State.ANNOUNCED,
        version=reported.version,
        folder_id=folder,
        digests=None,
    )
    return Decision((event_to_publish,), after, again, waiting)


def _without_message(
    reported: ReportedChange, error: SourceError, known: MessageState | None, coverage: Coverage, *, is_final: bool
) -> PendingEvent | None:
    """Return the event that goes out without its message; None when it went out already, or reports nothing new."""
    why = event_pb2.NotEnriched(reason=error.reason, detail=error.detail, attempts=reported.attempts, is_final=is_final)
    if known is None or known.state is State.DELETED or known.generation == UNSENT:
        telling = {CREATED} if known is not None and known.generation == UNSENT else {CREATED, UPDATED, DELETED}
        is_told = reported.kinds & telling and coverage.allows("mail.created")
        return (
            PendingEvent("mail.created", known.generation + 1 if known else 1, reported.version, not_enriched=why)
            if is_told
            else None
        )
    is_old_news = bool(known.open_event_id) or not reported.version or reported.version == known.version
    if is_old_news or not coverage.allows("mail.updated"):
        return None
    return PendingEvent(
        "mail.updated", known.generation, reported.version, not_enriched=why, change=event_pb2.MailChange()
    )


def _seen(mapped: MappedMessage, generation: int, state: State, reported: ReportedChange) -> MessageState:
    return MessageState(
        reported.message_id,
        generation,
        state,
        mapped.version,
        mapped.folder_id,
        mapped.label_ids,
        digests_of(mapped.message) if state is State.ANNOUNCED else None,
        "",
        mapped.received_at,
    )


def _allowed(pending: Iterable[PendingEvent], coverage: Coverage) -> tuple[PendingEvent, ...]:
    return tuple(event_to_publish for event_to_publish in pending if coverage.allows(event_to_publish.event_type))
